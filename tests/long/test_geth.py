"""The attestor on geth's development chain, built from its Go module: nothing of it needs anvil."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hack.cluster.binaries import ensure_programs
from hack.cluster.layout import cache_folder
from kubeswarm_contracts import Account, Chain, Patience, Transactor, new_key
from kubeswarm_contracts.deploy import deploy
from kubeswarm_contracts.plan import DEPLOYER, plan
from tests.chain.attestor.harness import Node
from tests.chain.conftest import ETHER, unused_port

CHAIN_ID = 1337
#: Who made the CREATE2 deployer on every chain, and the transaction that did: its signature was chosen, not made, so
#: that nobody has the key (github.com/Arachnid/deterministic-deployment-proxy).
MAKER = "0x3fab184622dc19b6109349b94811493bf2a45362"
MAKING = (
    "0xf8a58085174876e800830186a08080b853604580600e600039806000f350fe7fffffffffffffffffffffffffffffffffffffffffffffffff"
    "ffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf31ba0"
    "2222222222222222222222222222222222222222222222222222222222222222a0"
    "2222222222222222222222222222222222222222222222222222222222222222"
)


class Geth:
    """One geth with a block a second, of which the first account pays."""

    def __init__(self, program: Path, folder: Path) -> None:
        port = unused_port()
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "log"
        command: list[Any] = [program, "--dev", "--dev.period=1", "--datadir", folder, "--ipcdisable", "--nodiscover"]
        command += ["--http", f"--http.port={port}", "--http.api=eth,web3,net", "--rpc.allow-unprotected-txs"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--port=0", f"--authrpc.port={unused_port()}"], stdout=log, stderr=log
            )
        self.chain = Chain(self.url, plan(CHAIN_ID).deployment)
        self.chain.wait(60)

    def rpc(self, method: str, *params: Any) -> Any:
        return self.chain.rpc.request(method, *params)

    def fund(self, address: str, wei: int) -> None:
        """Sends ether from geth's own account, and waits until it is there."""
        sender = self.rpc("eth_accounts")[0]
        sent = self.rpc("eth_sendTransaction", {"from": sender, "to": address, "value": hex(wei)})
        self.wait(sent)

    def wait(self, tx_hash: str) -> None:
        end = time.monotonic() + 60
        while self.rpc("eth_getTransactionReceipt", tx_hash) is None:
            assert time.monotonic() < end, self.log.read_text()[-2000:]
            time.sleep(0.2)

    def account(self, ether: int = 10) -> Account:
        made = Account(new_key()[0])
        self.fund(made.address, ether * ETHER)
        return made

    def transactor(self, account: Account | None = None, patience: Patience | None = None) -> Transactor:
        return Transactor(self.chain, account or self.account(), patience=patience)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


@pytest.fixture
def geth(tmp_path: Path) -> Iterator[Geth]:
    started = Geth(ensure_programs(cache_folder(), ("geth",))["geth"], tmp_path)
    yield started
    started.stop()


def test_it_registers_joins_and_attests_on_geth(geth: Geth) -> None:
    geth.fund(MAKER, ETHER // 10)
    geth.wait(geth.rpc("eth_sendRawTransaction", MAKING))
    assert geth.chain.has_code(DEPLOYER)
    steps = list(deploy(geth.chain, geth.account()))
    assert json.loads(json.dumps(steps[-1]["deployment"]))["chainId"] == CHAIN_ID
    node = Node(geth)
    try:
        node.train(2)
        node.start()
        node.wait_attested(2, 120)
        node.stop(9)
        node.train(3)
        node.start()
        node.wait_attested(5, 120)
        report = node.wait(lambda report: report.problem is None)
        assert report.registered and report.joined
        assert node.stop() == 0
    finally:
        node.remove()
    assert node.key[2:] not in geth.log.read_text()
