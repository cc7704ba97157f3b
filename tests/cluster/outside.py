"""What is not the cluster's: the chain and the exchange that an operator is given."""

from base64 import b64decode
from pathlib import Path
from typing import Any

from hack.cluster.settings import COUNTED
from kubeswarm_contracts.deploy import deploy
from kubeswarm_operator.exchange import Keyring
from tests.chain.conftest import Anvil
from tests.cluster.control_plane import ControlPlane


def deploy_on(anvil: Anvil) -> None:
    """Puts the contracts on a chain, by an account that no operator sends with: each counts its own nonces."""
    for _ in deploy(anvil.chain, anvil.account()):
        pass


def chain_settings(url: str, account: Path) -> dict[str, Any]:
    """An operator's configuration for a chain; `account` is the file with its key."""
    return {"url": url, "chainId": 31337, "accountKeyFile": str(account), "pollSeconds": 0.5}


def keyring_of(cluster: ControlPlane, name: str) -> Keyring | None:
    """The exchange's keys by the Secret that the operator has made, or None."""
    secret = cluster.get(COUNTED, "secret", name)
    return Keyring.from_secret({k: b64decode(v).decode() for k, v in secret["data"].items()}) if secret else None
