"""The command's views of Swarms and Nodes: parsing, tables, progress, report."""

from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from kubeswarm_api.conditions import ConditionType
from kubeswarm_cli import progress, tables
from kubeswarm_cli.cluster import Node, Swarm, find_condition
from kubeswarm_cli.errors import CommandError
from kubeswarm_cli.report import make_report, report_table
from kubeswarm_contracts.attestation import AttestationData
from kubeswarm_contracts.chain import AttestedRounds

DIGEST = "0x" + "ab" * 32
NODE_ID = "0x" + "cd" * 20


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-01-01T00:10:00Z",
    }


def node_item(index: int, round: int, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "research", "name": f"first-light-{index}"},
        "spec": {"swarm": {"name": "first-light"}, "rounds": 24, "rollout": {"workers": index}},
        "status": {"round": round, **status},
    }


def swarm_item(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "research",
            "name": "first-light",
            "uid": "4b1d",
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"nodes": 2, "rounds": 24},
        "status": status,
    }


HELD_OUT = {"items": 32, "before": "0.0700", "latest": "0.8100", "exactBefore": "0.0300", "exactLatest": "0.7500"}
RUNNING = Node.parse(
    node_item(
        0, 5, reward="0.3000", tokens=1200, groupsTaken=3, heldOut=HELD_OUT | {"round": 4}, nodeId=NODE_ID,
        swarmId=DIGEST, attestedRounds=4, model=DIGEST, aNewField={"x": 1},
        conditions=[condition("Ready", "True", "Training")],
    )
)  # fmt: skip
STUCK = Node.parse(
    node_item(
        1,
        0,
        conditions=[
            condition("Ready", "False", "ImagePullFailed"),
            condition("Degraded", "True", "ImagePullFailed", "pod first-light-1-head-0: no image: check worker.image"),
        ],
    )
)


def swarm(*nodes: Node, complete: bool = False) -> Swarm:
    conditions = [condition("Ready", "False", "NodesDegraded")]
    if complete:
        conditions.append(condition("Complete", "True", "RoundsComplete"))
    return Swarm.parse(swarm_item(conditions=conditions, swarmId=DIGEST), list(nodes))


def printed(*things: Any) -> str:
    console = Console(width=240, record=True, quiet=False, file=None)
    with console.capture() as captured:
        console.print(*things)
    return captured.get()


def test_a_newer_status_is_read_and_defaults_are_filled_in() -> None:
    assert RUNNING.status.round == 5
    assert RUNNING.status.held_out is not None
    assert RUNNING.status.held_out.exact_latest == "0.7500"
    assert Node.parse(node_item(0, 0) | {"status": {}}).status.tokens == 0


def test_a_swarm_has_the_nodes_of_its_namespace_that_take_part() -> None:
    elsewhere = node_item(2, 0)
    elsewhere["metadata"]["namespace"] = "other"
    stranger = node_item(3, 0)
    stranger["spec"]["swarm"] = {"join": {"swarmId": DIGEST, "credentials": "theirs"}}
    both = swarm(STUCK, RUNNING, Node.parse(elsewhere), Node.parse(stranger))
    assert [node.name for node in both.nodes] == ["first-light-0", "first-light-1"]


def test_completion_and_its_time_come_from_the_condition() -> None:
    assert not swarm(RUNNING).complete
    assert swarm(RUNNING).seconds is None
    assert swarm(RUNNING, complete=True).complete
    assert swarm(RUNNING, complete=True).seconds == 600
    assert find_condition([], ConditionType.READY) is None


def test_tables_show_state_reason_and_progress() -> None:
    one = swarm(RUNNING, STUCK)
    text = printed(
        tables.swarms_table([one]), tables.nodes_table(list(one.nodes)), tables.conditions_table(one.conditions)
    )
    for part in ("NodesDegraded", "5/24", "0.0700 → 0.8100", "0.0300 → 0.7500", "1,200", "check worker.image", "0/1"):
        assert part in text
    assert "not seen yet" in printed(tables.swarms_table([Swarm.parse(swarm_item(), [])]))


def test_attestations_show_what_eas_says_of_them() -> None:
    content = AttestationData(
        swarm_id=DIGEST, node_id=NODE_ID, first_round=1, last_round=4, records_root=DIGEST, previous=DIGEST,
        head=DIGEST, model=DIGEST,
        samples=256, tokens=4000, reward=312_500,
    )  # fmt: skip
    text = printed(tables.attestations_table(attested(), [content, None]))
    for part in ("1..4", "5..5", "0.3125", "4,000", "100000", "?"):
        assert part in text


def test_a_line_says_all_that_changes() -> None:
    text = progress.line(swarm(RUNNING, STUCK))
    assert text == (
        "NodesDegraded | first-light-0 5/24 reward 0.3000 held-out 0.8100 (round 4) | first-light-1 0/24 "
        "ImagePullFailed | tokens 1,200 | taken 3 | attested 4"
    )
    assert progress.problems(swarm(RUNNING, STUCK)) == [
        "node/first-light-1: ImagePullFailed: pod first-light-1-head-0: no image: check worker.image"
    ]


def test_plain_output_has_one_line_a_change() -> None:
    states = [(0.0, swarm(RUNNING)), (2.0, swarm(RUNNING)), (64.0, swarm(RUNNING, STUCK))]
    console = Console(width=400, force_terminal=False)
    with console.capture() as captured:
        progress.watch(console, iter(states))
    lines = captured.get().splitlines()
    assert [line.split()[0] for line in lines] == ["0:00", "1:04", "1:04"]


def test_a_terminal_shows_the_table_and_the_problems() -> None:
    console = Console(width=200, force_terminal=True)
    with console.capture() as captured:
        progress.watch(console, iter([(1.0, swarm(RUNNING, STUCK))]))
    assert "first-light-1" in captured.get()
    assert "check worker.image" in captured.get()


def test_following_ends_at_completion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "POLL_SECONDS", 0.0)
    states = iter([swarm(RUNNING), swarm(RUNNING, complete=True), swarm(RUNNING)])
    assert [state.complete for _, state in progress.follow(lambda: next(states))] == [False, True]


def test_following_outlives_a_silence_but_not_a_wrong_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "POLL_SECONDS", 0.0)
    answers: Iterator[Swarm | None] = iter([swarm(RUNNING), None, swarm(RUNNING, complete=True)])

    def read() -> Swarm:
        answer = next(answers)
        if answer is None:
            raise CommandError("no answer from the cluster")
        return answer

    assert len(list(progress.follow(read))) == 2

    def missing() -> Swarm:
        raise CommandError("no Swarm x")

    with pytest.raises(CommandError, match="no Swarm x"):
        list(progress.follow(missing))


def test_following_gives_up_at_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "POLL_SECONDS", 0.0)
    with pytest.raises(CommandError, match="not complete after 0 s"):
        list(progress.follow(lambda: swarm(RUNNING), timeout=0.0))


def attested() -> list[AttestedRounds]:
    common = {"uid": DIGEST, "node_id": NODE_ID, "root": DIGEST, "block": 7, "tx_hash": DIGEST}
    return [
        AttestedRounds.model_validate(common | {"first": 1, "last": 4, "gas_used": 100_000}),
        AttestedRounds.model_validate(common | {"first": 5, "last": 5, "gas_used": 90_000}),
    ]


def test_the_report_has_what_the_chain_says() -> None:
    asked: list[tuple[str, str]] = []

    def read_chain(swarm_id: str, node_id: str) -> list[AttestedRounds]:
        asked.append((swarm_id, node_id))
        return attested()

    memory = {"first-light-0-head-0": 2**30, "first-light-1-rollout-abc": 2**31, "unrelated": 5}
    report = make_report(swarm(RUNNING, STUCK, complete=True), read_chain, memory)
    assert asked == [(DIGEST, NODE_ID)], "a Node without an identity has nothing on the chain"
    first, second = report.nodes
    assert (first.attested_rounds, first.gas) == (5, 190_000)
    assert first.peak_memory_bytes == {"first-light-0-head-0": 2**30}
    assert second.peak_memory_bytes == {"first-light-1-rollout-abc": 2**31}
    assert (second.attestations, second.gas) == ([], 0)
    assert report.to_json()["nodes"][0]["heldOut"]["before"] == "0.0700"
    text = printed(report_table(report))
    for part in (
        "complete in 10.0 minutes",
        "5 in 2 attestations",
        "38,000 a round",
        "1.00 GiB",
        "claim first-light-0-data",
    ):
        assert part in text


def test_the_report_without_the_chain_says_so() -> None:
    report = make_report(swarm(RUNNING))
    assert report.nodes[0].attestations is None
    assert "not read" in printed(report_table(report))
