"""Ports of this machine: every process of a Node gets all of a pod's, moved by an offset that nobody else here has."""

import contextlib
import fcntl
import os
import socket
import tempfile
from pathlib import Path

from kubeswarm_api import names
from kubeswarm_cli.errors import CommandError

#: With it no two offsets share a port, Ray's range included, and all stay below the ports that connections are given.
STEP = 300
OFFSETS = range(STEP, 20_000, STEP)
PINNED = (names.TRAINER_PORT, names.ROLLOUT_PORT, names.ATTESTOR_PORT, *range(names.RAY_PORT, names.RAY_PORT + 8))


class Offset:
    """An offset that is this process's own until it ends."""

    def __init__(self, value: int) -> None:
        """Raises OSError if another process has it, or something listens on one of its ports."""
        self.value = value
        # Its lock is held for as long as the file is open: it takes no cleaning up after a crash.
        self._lock = os.open(
            Path(tempfile.gettempdir(), f"kubeswarm-ports-{value}.lock"), os.O_RDWR | os.O_CREAT, 0o666
        )
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for port in PINNED:
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("", port + value))
        except OSError:
            os.close(self._lock)
            raise


def take_offset() -> Offset:
    """The first offset whose ports are free. Raises CommandError."""
    for value in OFFSETS:
        with contextlib.suppress(OSError):
            return Offset(value)
    raise CommandError(f"all ports that Nodes could have are taken: end other runs (there are {len(OFFSETS)} places)")


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
