"""The attestor: a sidecar that holds the Node's key, signs for the trainer, brings finished rounds to the chain."""

from pathlib import Path

from kubeswarm_workers.ports import Notary


def open_notary(socket: Path) -> Notary:
    """The trainer's door to the attestor at `socket`. Raises OSError if none answers within a minute."""
    from kubeswarm_workers.attest.notary import SocketNotary

    return SocketNotary(socket)
