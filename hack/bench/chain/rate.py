"""How many records a second reach a chain: by the attestor as it ships, and by transactions that were made before."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hack.bench.chain import calls
from hack.cluster.layout import REPOSITORY
from hack.console import Problem
from kubeswarm_api import names
from kubeswarm_api.encoding import digest, to_hex
from kubeswarm_api.node_config import NodeConfig
from kubeswarm_api.records import NO_DIGEST, Digest, RoundRecord
from kubeswarm_api.spec_training import Attestation, TrainingSpec
from kubeswarm_contracts import MAX_ROUNDS, Account, AttestationData, Chain, Transactor, deployment, new_key, swarm_id
from kubeswarm_contracts.deploy import DEVELOPMENT_KEY, deploy
from kubeswarm_workers.attest.spool import append

ETHER = 10**18
PATIENCE_SECONDS = 300.0
TRAINING = {"model": {"image": "model:v1"}, "environment": {"reasoningGym": {"tasks": [{"name": "needle_haystack"}]}}}
#: Records that go one at a time.
SINGLE = 30


@contextmanager
def anvil() -> Iterator[Chain]:
    """A fresh chain with the contracts, which mines each transaction at once."""
    programs = sorted((REPOSITORY / "contracts").glob("node_modules/@foundry-rs/anvil-*/bin/anvil"))
    if not programs:
        raise Problem("anvil is missing: run make -C contracts build")
    port = free_port()
    process = subprocess.Popen([programs[0], "--host", "127.0.0.1", "--port", str(port), "--silent"])
    try:
        chain = Chain(f"http://127.0.0.1:{port}", deployment(31337))
        chain.wait(30)
        list(deploy(chain, Account(DEVELOPMENT_KEY)))
        yield chain
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Node:
    """A Node with a key and ether that is a member of a swarm of its own, and the records of its rounds."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.key, self.id = new_key()
        self.account = Account(self.key)
        chain.rpc.request("anvil_setBalance", self.id, hex(1000 * ETHER))
        salt = digest(self.id.encode())
        transactor = Transactor(chain, self.account)
        transactor.create_swarm(salt, digest(b"config"))
        self.swarm: Digest = swarm_id(self.id, salt)
        transactor.register()
        transactor.join(self.swarm, self.id)

    def records(self, count: int, config: Digest) -> list[RoundRecord]:
        """Those of rounds 1 to `count`."""
        made: list[RoundRecord] = []
        previous = NO_DIGEST
        for number in range(1, count + 1):
            made.append(
                RoundRecord(
                    chain_id=self.chain.deployment.chain_id,
                    registry=self.chain.deployment.node_registry,
                    swarm_id=self.swarm,
                    node_id=self.id,
                    round=number,
                    previous=previous,
                    config=config,
                    model_before=to_hex(digest(b"%d" % (number - 1))),
                    model_after=to_hex(digest(b"%d" % number)),
                    rollouts_root=to_hex(digest(b"rollouts %d" % number)),
                    samples=96,
                    reward=1000 * number,
                    tokens=1900,
                )
            )
            previous = to_hex(made[-1].digest())
        return made


def by_the_chain(size: int, count: int) -> float:
    """Records a second where attestations of `size` rounds, signed beforehand, are sent one after the other."""
    with anvil() as chain:
        node = Node(chain)
        records = node.records(size * count, to_hex(digest(b"config")))
        nonce = int(chain.rpc.request("eth_getTransactionCount", node.id, "latest"), 16)
        parts = [AttestationData.of(records[at : at + size]) for at in range(0, len(records), size)]
        schema, eas = chain.deployment.schema_uid, chain.deployment.eas
        ready = [
            calls.signed(node.account, nonce + number, eas, calls.eas_attest(schema, part.encode()))
            for number, part in enumerate(parts)
        ]
        begun = time.monotonic()
        for raw in ready:
            chain.rpc.request("eth_sendRawTransaction", raw)
        _await(chain, node, len(records))
        return len(records) / (time.monotonic() - begun)


def by_the_attestor(count: int) -> tuple[float, float]:
    """Records a second that the attestor brings to the chain: one at a time, and `count` from a full spool."""
    with anvil() as chain, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        node, root = Node(chain), Path(folder)
        config = _config(chain, node)
        _write(names.local_path(root, names.NODE_CONFIG_FILE), json.dumps(config.to_json()))
        _write(names.local_path(root, names.IDENTITY_KEY_FILE), node.key)
        spool = names.local_path(root, names.DATA_DIR) / names.SPOOL
        records = node.records(SINGLE + count, to_hex(config.config_digest()))
        with _attestor(root):
            append(spool, records[0])
            _await(chain, node, 1)
            begun = time.monotonic()
            for number in range(1, SINGLE):
                append(spool, records[number])
                _await(chain, node, number + 1)
            single = (SINGLE - 1) / (time.monotonic() - begun)
        for record in records[SINGLE:]:
            append(spool, record)
        with _attestor(root):
            first = _await(chain, node, SINGLE + 1)
            if first == len(records):
                raise Problem(f"one attestation took all {count} records: give --backlog more than {MAX_ROUNDS}")
            begun = time.monotonic()
            _await(chain, node, len(records))
            return single, (len(records) - first) / (time.monotonic() - begun)


@contextmanager
def _attestor(root: Path) -> Iterator[None]:
    """The process that a Node's sidecar runs."""
    offset = str(free_port() % 20_000 + 20_000)
    environment = os.environ | {"KUBESWARM_ROOT": str(root), "KUBESWARM_PORT_OFFSET": offset}
    command = [sys.executable, "-m", "kubeswarm_workers.entrypoints.attestor"]
    with (root / "log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def _await(chain: Chain, node: Node, wanted: int) -> int:
    """Waits until so many rounds are attested, by the chain's word; returns how many are."""
    end = time.monotonic() + PATIENCE_SECONDS
    while (done := chain.next_round(node.swarm, node.id) - 1) < wanted:
        if time.monotonic() > end:
            raise Problem(f"{done} of {wanted} records reached the chain in {PATIENCE_SECONDS:g} s")
        time.sleep(0.01)
    return done


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _config(chain: Chain, node: Node) -> NodeConfig:
    return NodeConfig(
        namespace="default",
        name="node-0",
        swarm="swarm",
        swarm_id=node.swarm,
        index=0,
        training=TrainingSpec.model_validate({**TRAINING, "rounds": 1_000_000}),
        attest=Attestation(rounds=1, seconds=1),
        model_dir="/model",
        chain=chain.deployment.config(chain.rpc.name),
    )
