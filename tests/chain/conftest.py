"""A real anvil for the tests of the Python client: one shared, with the contracts, and fresh ones to break."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeswarm_api.encoding import digest, to_hex
from kubeswarm_api.records import NO_DIGEST, Address, Digest, RoundRecord
from kubeswarm_contracts import Account, AttestationData, Chain, Patience, Transactor, deployment, new_key, swarm_id
from kubeswarm_contracts.deploy import DEVELOPMENT_KEY, deploy

CONTRACTS = Path(__file__).parents[2] / "contracts"
ETHER = 10**18


class Anvil:
    """One anvil on a free port, as `process`. `arguments`: more of its command line."""

    def __init__(self, *arguments: str, port: int | None = None) -> None:
        self.port = port or unused_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [str(_program()), "--host", "127.0.0.1", "--port", str(self.port), "--silent", *arguments]
        )
        self.chain = Chain(self.url, deployment(31337))
        self.chain.wait(30)

    def rpc(self, method: str, *params: Any) -> Any:
        return self.chain.rpc.request(method, *params)

    def receipt(self, tx_hash: str) -> dict[str, Any]:
        """The receipt of a transaction, once a block holds it."""
        for _ in range(200):
            found = self.rpc("eth_getTransactionReceipt", tx_hash)
            if found is not None:
                return found
            time.sleep(0.05)
        raise TimeoutError(f"no block took {tx_hash}")

    def stop(self) -> None:
        """Ends it as Kubernetes does, so that it writes its state."""
        self.process.terminate()
        self.process.wait(30)

    def account(self, ether: int = 10) -> Account:
        """A fresh account with this much ether."""
        account = Account(new_key()[0])
        self.fund(account.address, ether * ETHER)
        return account

    def fund(self, address: Address, wei: int) -> None:
        """Makes it an account's balance."""
        self.rpc("anvil_setBalance", address, hex(wei))

    def transactor(self, account: Account | None = None, patience: Patience | None = None) -> Transactor:
        return Transactor(self.chain, account or self.account(), patience=patience)


def _program() -> Path:
    binaries = sorted(CONTRACTS.glob("node_modules/@foundry-rs/anvil-*/bin/anvil"))
    assert binaries, "anvil is missing: run make -C contracts build"
    return binaries[0]


@pytest.fixture(scope="session")
def anvil_program() -> Path:
    return _program()


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    return unused_port


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def start_anvil() -> Iterator[Callable[..., Anvil]]:
    """Starts an anvil without contracts; all are ended with the test."""
    started: list[Anvil] = []

    def start(*arguments: str, port: int | None = None) -> Anvil:
        started.append(Anvil(*arguments, port=port))
        return started[-1]

    yield start
    for anvil in started:
        anvil.stop()


@pytest.fixture
def own_anvil(start_anvil: Callable[..., Anvil]) -> Anvil:
    """An anvil of the test's own, with the contracts."""
    anvil = start_anvil()
    list(deploy(anvil.chain, Account(DEVELOPMENT_KEY)))
    return anvil


@pytest.fixture(scope="session")
def anvil() -> Iterator[Anvil]:
    """The shared anvil, with the contracts. Tests use fresh accounts on it, so they don't meet."""
    shared = Anvil()
    list(deploy(shared.chain, Account(DEVELOPMENT_KEY)))
    yield shared
    shared.stop()


class Participant:
    """A Node that is registered and a member of a swarm, with records to attest."""

    def __init__(self, anvil: Anvil) -> None:
        self.anvil, self.chain = anvil, anvil.chain
        self.account = anvil.account()
        self.owner = anvil.transactor()
        self.transactor = anvil.transactor(self.account)
        self.node_id: Address = self.account.address
        salt = digest(self.account.address.encode())
        self.owner.create_swarm(salt, digest(b"config"))
        self.swarm_id: Digest = swarm_id(self.owner.account.address, salt)
        self.transactor.register()
        self.transactor.join(self.swarm_id, self.node_id)

    def records(self, first: int, last: int, previous: Digest = NO_DIGEST, **fields: Any) -> list[RoundRecord]:
        """Records of consecutive rounds that chain; `fields` replace those of each."""
        made: list[RoundRecord] = []
        for number in range(first, last + 1):
            values: dict[str, Any] = {
                "chain_id": self.chain.deployment.chain_id,
                "registry": self.chain.deployment.node_registry,
                "swarm_id": self.swarm_id,
                "node_id": self.node_id,
                "round": number,
                "previous": previous,
                "config": to_hex(digest(b"config")),
                "model_before": to_hex(digest(f"model {number - 1}".encode())),
                "model_after": to_hex(digest(f"model {number}".encode())),
                "rollouts_root": to_hex(digest(f"rollouts {number}".encode())),
                "samples": 96,
                "reward": 1000 * number,
                "tokens": 1900,
            }
            made.append(RoundRecord(**(values | fields)))
            previous = to_hex(made[-1].digest())
        return made

    def attestation(self, first: int, last: int) -> AttestationData:
        """An attestation of rounds, all records from the first on in one chain."""
        return AttestationData.of(self.records(1, last)[first - 1 :])


@pytest.fixture
def participant(anvil: Anvil) -> Participant:
    return Participant(anvil)


@pytest.fixture
def participate() -> Callable[[Anvil], Participant]:
    """Makes a participant on a given anvil."""
    return Participant
