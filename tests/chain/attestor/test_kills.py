"""Killed at any instant, and run twice at once: each finished round is attested exactly once."""

import multiprocessing
import os
import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from kubeswarm_api import names
from kubeswarm_contracts import Account
from kubeswarm_contracts.deploy import DEVELOPMENT_KEY, deploy
from kubeswarm_contracts.sending import SENDING_POINTS
from kubeswarm_workers.attest.loop import LOOP_POINTS
from tests.chain.attestor.harness import QUICK, SHORT, Node
from tests.chain.conftest import Anvil


def test_killed_at_any_instant_each_round_still_counts_once(start_anvil, attestor):
    """SIGKILL at five random instants while it registers, joins and attests, with a block every second."""
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    anvil = start_anvil()
    list(deploy(anvil.chain, Account(DEVELOPMENT_KEY)))
    node = attestor(anvil)
    anvil.rpc("evm_setIntervalMining", 1)
    for _ in range(5):
        node.train(chance.randint(0, 2))
        node.start()
        node.wait(lambda report: True)
        time.sleep(chance.uniform(0, 2.5))
        node.stop(signal.SIGKILL)
        rounds = node.on_chain()
        assert rounds == list(range(1, len(rounds) + 1)), f"seed {seed}"
        assert len(rounds) <= node.spooled
    node.train(1)
    node.start()
    node.wait_attested(node.spooled)


def test_two_attestors_with_one_key_attest_each_round_once(start_anvil, attestor):
    anvil = start_anvil()
    list(deploy(anvil.chain, Account(DEVELOPMENT_KEY)))
    node = attestor(anvil)
    twin = attestor(anvil)
    for name in (names.NODE_CONFIG_FILE, names.IDENTITY_KEY_FILE):
        shutil.copy(node.path(name), twin.path(name))
    twin.node_id, twin.swarm_id, twin.key = node.node_id, node.swarm_id, node.key
    anvil.rpc("evm_setIntervalMining", 1)
    node.start()
    twin.start()
    for _ in range(6):
        node.train(1)
        twin.train(1)
        time.sleep(1)
    node.wait_attested(6)
    twin.wait_attested(6)


#: Every step of a first life that registers, joins and attests: each of the three sends a transaction.
LIFE = [
    *((point, number) for number in (1, 2, 3) for point in ("estimated", "priced", "signed", "sent", "included")),
    *((point, 1) for point in ("registered", "joined", "looked", "read", "attested", "accounted")),
    ("looked", 2),
]
#: Steps that are taken only where blocks stay away.
STALLED = [("raised", 1), ("outbid", 1)]


def live(node: Node, end_at: tuple[str, int] | None) -> None:
    """An attestor's life in a process of its own, ended by SIGKILL when it reaches a step for the nth time."""
    met: Counter[str] = Counter()

    def reached(point: str) -> None:
        met[point] += 1
        if (point, met[point]) == end_at:
            os.kill(os.getpid(), signal.SIGKILL)

    attestor = node.attestor(pace=QUICK, patience=SHORT, reached=reached)
    while attestor.report.attested_rounds < node.spooled:
        time.sleep(attestor.attempt(flush=True))
    os._exit(0)


def lived(node: Node, end_at: tuple[str, int] | None) -> int | None:
    """How it ended."""
    process = multiprocessing.get_context("fork").Process(target=live, args=(node, end_at))
    process.start()
    process.join(60)
    if process.is_alive():
        process.kill()
        raise TimeoutError(f"{end_at} was not reached; on chain: {node.on_chain()}")
    return process.exitcode


@pytest.fixture(scope="module")
def mined() -> Iterator[Anvil]:
    """A chain with a block every fifth of a second: what is sent stays pending for a while, as on any chain."""
    anvil, stop = Anvil(), threading.Event()
    list(deploy(anvil.chain, Account(DEVELOPMENT_KEY)))
    anvil.rpc("evm_setAutomine", False)

    def mine() -> None:
        while not stop.wait(0.2):
            anvil.rpc("evm_mine")

    thread = threading.Thread(target=mine)
    thread.start()
    yield anvil
    stop.set()
    thread.join()
    anvil.stop()


def test_every_step_is_killed_at() -> None:
    assert {point for point, _ in [*LIFE, *STALLED]} == {*SENDING_POINTS, *LOOP_POINTS}


@pytest.mark.parametrize("point", LIFE, ids=lambda point: f"{point[0]}-{point[1]}")
def test_killed_at_each_step_each_round_is_attested_once(mined, attestor, point):
    node = attestor(mined)
    node.train(2)
    assert lived(node, point) == -signal.SIGKILL
    node.train(1)
    assert lived(node, None) == 0
    assert node.on_chain() == [1, 2, 3]


def test_killed_while_blocks_stay_away_each_round_is_attested_once(own_anvil, attestor):
    node = attestor(own_anvil)
    node.train(1)
    assert lived(node, ("joined", 1)) == -signal.SIGKILL
    own_anvil.rpc("evm_setAutomine", False)
    for point in (("sent", 1), *STALLED, ("sent", 2)):
        assert lived(node, point) == -signal.SIGKILL
    (pool,) = own_anvil.rpc("txpool_content")["pending"].values()
    assert len(pool) == 1  # each replaced the one before
    own_anvil.rpc("evm_setIntervalMining", 1)
    node.train(1)
    assert lived(node, None) == 0
    assert node.on_chain() == [1, 2]
