"""A chain that is away for an hour: the attestor says so all the while, and what waited gets there once, afterwards.

KUBESWARM_OUTAGE sets the seconds of the outage.
"""

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from kubeswarm_api.encoding import digest
from kubeswarm_api.records import RoundRecord
from kubeswarm_contracts import Account, AttestationData
from kubeswarm_contracts.deploy import DEVELOPMENT_KEY, deploy
from kubeswarm_workers.attest.loop import Pace
from tests.chain.attestor.harness import Node, metric, problem
from tests.chain.conftest import Anvil

OUTAGE = float(os.environ.get("KUBESWARM_OUTAGE", "3600"))
#: A round takes longer than the attestor waits between attempts, so that each finds the record of the round before.
ROUND_SECONDS = 2 * Pace().last_retry
#: From the chain's first answer until all that waited is on it: an attempt is never further away than the last retry.
RETURN_SECONDS = 60.0
#: What an hour may add to the process: the 700 attempts that fail in it would not fit if each left 12 KiB.
GROWTH_BYTES = 8 * 2**20
UNREACHABLE = 'kubeswarm_attestor_errors_total{reason="ChainUnreachable"}'


@dataclass(frozen=True)
class Look:
    """What the attestor was at one instant of the outage, so many `seconds` after its beginning."""

    seconds: float
    spooled: int
    failed: int
    resident_bytes: int
    files: int
    log_bytes: int


def test_a_chain_that_is_away_for_an_hour_is_caught_up_with_once(
    start_anvil: Callable[..., Anvil], attestor: Callable[..., Node], tmp_path: Path
) -> None:
    state = str(tmp_path / "state.json")
    anvil = start_anvil("--state", state)
    list(deploy(anvil.chain, Account(DEVELOPMENT_KEY)))
    node = attestor(anvil, rounds=100_000)
    node.start()
    node.train(3)
    node.wait_attested(3)
    node.train(1)  # whether the chain still takes it is left open
    away = time.monotonic()
    anvil.stop()
    attested = node.wait(problem("ChainUnreachable")).attested_rounds
    assert attested in (3, 4)

    looks = watch(node, attested, away)
    warm, last = looks[len(looks) // 10], looks[-1]
    print(f"\naway for {time.monotonic() - away:.0f} s", asdict(warm), asdict(last), sep="\n")
    assert last.spooled - 4 == len(looks) >= OUTAGE // ROUND_SECONDS / 2
    assert max(look.resident_bytes for look in looks) - warm.resident_bytes < GROWTH_BYTES
    assert max(look.files for look in looks) <= warm.files + 2  # a connection, a record
    assert last.log_bytes - warm.log_bytes < 4096, "an outage is told once, not at each attempt"

    anvil = start_anvil("--state", state, port=anvil.port)
    back = time.monotonic()
    assert anvil.chain.next_round(node.swarm_id, node.node_id) in (attested + 1, 5), "the chain has its state"
    node.train(2)
    node.wait_chain(node.spooled, RETURN_SECONDS)
    print(f"{node.spooled - attested} rounds on the chain {time.monotonic() - back:.1f} s after it was back")
    node.train(3)
    node.wait_attested(node.spooled)
    report = node.wait(lambda report: report.problem is None)
    assert report.spooled_rounds == report.attested_rounds == node.spooled
    assert metric(node.get("/metrics"), "kubeswarm_attestor_pending_rounds") == 0
    assert node.stop() == 0
    check(node, attested, last.spooled)


def watch(node: Node, attested: int, away: float) -> list[Look]:
    """Trains round after round until the outage is over. After each the attestor must know of it, say what is wrong,
    sign for the trainer, and have tried as often as its pace lets it, no more."""
    assert node.process is not None
    process, notary, looks = psutil.Process(node.process.pid), node.notary(), list[Look]()
    while (elapsed := time.monotonic() - away) < OUTAGE:
        node.train(1)
        time.sleep(min(ROUND_SECONDS, OUTAGE - elapsed))
        report, metrics = node.wait(lambda report: report.spooled_rounds == node.spooled), node.get("/metrics")
        seconds = time.monotonic() - away
        assert report.problem is not None and report.problem.reason == "ChainUnreachable"
        assert report.attested_rounds == attested
        assert metric(metrics, "kubeswarm_attestor_pending_rounds") == node.spooled - attested
        oldest = time.time() - path(node, attested + 1).stat().st_mtime
        assert 0 <= oldest - metric(metrics, "kubeswarm_attestor_pending_seconds") < ROUND_SECONDS
        assert len(notary.sign(node.spooled, digest(b"rollouts"))) == 65
        failed = metric(metrics, UNREACHABLE)
        pace = Pace()
        assert failed <= 3 + seconds / pace.last_retry + 1, "it waits between attempts, and longer than at first"
        assert failed >= seconds / (2 * pace.last_retry) - 1, "it goes on trying"
        resident, log = process.memory_info().rss, node.log.stat().st_size
        looks.append(Look(seconds, node.spooled, int(failed), resident, process.num_fds(), log))
    return looks


def check(node: Node, attested: int, waited: int) -> None:
    """What the chain has is each round once, in order, of the records on the volume; what waited came in one piece."""
    found = node.chain.attestations(node.swarm_id)
    assert all(each.node_id == node.node_id for each in found)
    assert [number for each in found for number in range(each.first, each.last + 1)] == list(range(1, node.spooled + 1))
    assert any(each.first <= attested + 2 and each.last >= waited for each in found)
    for each in found:
        numbers = range(each.first, each.last + 1)
        records = [RoundRecord.from_bytes(path(node, number).read_bytes()) for number in numbers]
        assert node.chain.attestation(each.uid) == AttestationData.of(records)
    assert node.chain.head(node.swarm_id, node.node_id) == node.head


def path(node: Node, number: int) -> Path:
    return node.spool / f"{number:08d}.json"
