"""Training that ends before its rounds are done, fails for good, or is deleted when it has ended."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from kubeswarm_api.conditions import Condition, ConditionType, Reason
from kubeswarm_api.node import Change, HeldOut, NodeSpec, NodeStatus
from kubeswarm_api.reports import AttestorReport, HeldOutReport, NodeReport, Phase
from kubeswarm_operator.decide import ending
from kubeswarm_operator.decide.completion import progress
from kubeswarm_operator.decide.expiry import expires_in
from kubeswarm_operator.decide.rollback import begun
from kubeswarm_operator.decide.swarm_nodes import swarm_nodes
from kubeswarm_operator.decide.swarm_status import swarm_status
from kubeswarm_operator.observe.snapshot import NodeSnapshot, Reports
from tests.unit.operator.things import (
    EARLIER,
    NOW,
    SWARM_ID,
    node_object,
    node_snapshot,
    node_spec,
    pod,
    swarm_snapshot,
    swarm_spec,
)  # fmt: skip

META = {"namespace": "research", "name": "light-0", "uid": "uid-0", "generation": 3, "creationTimestamp": EARLIER}
HOUR = 3600


def snapshot(spec: NodeSpec, round: int = 7, **changes: Any) -> NodeSnapshot:
    """A Node that was made an hour ago and is in the middle of its rounds."""
    trainer = NodeReport(
        phase=Phase.TRAINING, round=round, tokens=9000, held_out=HeldOutReport(items=32, before=0.1, latest=0.7)
    )
    attestor = AttestorReport(node_id="0x1", address="0x1", gas_used=400_000)
    live = {"apiVersion": "kubeswarm.dev/v1alpha1", "kind": "Node", "metadata": META}
    return node_snapshot(spec, live=live, reports=Reports(trainer, attestor), **changes)


@pytest.mark.parametrize(
    ("wanted", "met"),
    [
        ({"heldOutReward": 0.7}, True), ({"heldOutReward": 0.71}, False),
        ({"seconds": HOUR}, True), ({"seconds": HOUR + 1}, False),
        ({"tokens": 9000}, True), ({"tokens": 9001}, False),
        ({"gas": 400_000}, True), ({"gas": 400_001}, False),
        ({}, False),
    ],
)  # fmt: skip
def test_training_ends_where_it_should(wanted: dict[str, Any], met: bool) -> None:
    seen = snapshot(node_spec(stopWhen=wanted))
    assert ending.stop_round(seen) == (7 if met else None)
    assert bool(ending.stop_reason(seen)) == met


def test_nothing_ends_before_its_first_round_or_after_its_last() -> None:
    spec = node_spec(stopWhen={"seconds": 1})
    assert ending.stop_round(snapshot(spec, round=0)) is None
    assert ending.stop_round(snapshot(spec, round=24)) is None


def test_the_round_of_an_early_end_stays_until_the_spec_changes() -> None:
    spec = node_spec(stopWhen={"heldOutReward": 0.7})
    recorded = NodeStatus(observed_generation=3, round=9, stop_round=7, held_out=HeldOut(latest="0.5000"))
    assert ending.stop_round(snapshot(spec, round=9, status=recorded)) == 7
    gone = snapshot(spec, status=recorded, pods=())
    assert ending.stop_round(replace(gone, reports=Reports())) == 7
    edited = recorded.model_copy(update={"observed_generation": 2})
    assert ending.stop_round(replace(gone, reports=Reports(), status=edited)) is None


def test_an_early_end_is_complete_once_all_that_was_trained_is_attested() -> None:
    spec = node_spec(stopWhen={"heldOutReward": 0.7})
    seen = snapshot(spec, round=8)
    done = replace(seen, reports=Reports(NodeReport(phase=Phase.COMPLETE, round=8)))
    assert not progress(seen, SWARM_ID, "0x1", 7).trained, "the trainer has not said so"
    assert progress(done, SWARM_ID, "0x1", 7).complete, "without a chain"
    chain = replace(done.chain, configured=True, reachable=True, attested={(SWARM_ID, "0x1"): 7})
    assert not progress(replace(done, chain=chain), SWARM_ID, "0x1", 7).complete, "round 8 is not on the chain"


def _crashed(restarts: int) -> dict[str, Any]:
    return pod(containerStatuses=[{"name": "trainer", "restartCount": restarts, "state": {"running": {}}}])


@pytest.mark.parametrize(
    ("policy", "restarts", "reason"),
    [
        ({"maxRestarts": 3}, 4, Reason.RESTARTS_EXHAUSTED), ({"maxRestarts": 3}, 3, None), ({}, 99, None),
        ({"deadlineSeconds": HOUR}, 0, Reason.DEADLINE_EXCEEDED), ({"deadlineSeconds": HOUR + 1}, 0, None),
    ],
)  # fmt: skip
def test_what_fails_for_good(policy: dict[str, Any], restarts: int, reason: Reason | None) -> None:
    seen = snapshot(node_spec(failurePolicy=policy), pods=(_crashed(restarts),))
    found = ending.failure(seen, False, [])
    assert (found.reason if found else None) == reason
    assert ending.failure(seen, True, []) is None, "what is complete doesn't fail"


def test_too_many_restarts_with_a_change_on_trial_are_the_changes_failure() -> None:
    spec = node_spec(failurePolicy={"maxRestarts": 3, "deadlineSeconds": HOUR + 1})
    tried = NodeStatus(revision="a", change=begun("b", True, NOW))
    seen = snapshot(spec, pods=(_crashed(4),), status=tried)
    assert ending.failure(seen, False, []) is None
    assert "4 restarts" in ending.exhausted(seen, [])
    late = ending.failure(replace(seen, now=NOW + timedelta(hours=1)), False, [])
    assert late and late.reason == Reason.DEADLINE_EXCEEDED, "its time is up whatever is on trial"


def test_pods_that_are_replaced_count_no_more() -> None:
    """Else a Node that goes back from a change would fail by the restarts with it."""
    spec = node_spec(failurePolicy={"maxRestarts": 3})
    back = NodeStatus(revision="a", change=Change(revision="b", failed="4 restarts"))
    head = {"kind": "StatefulSet", "metadata": {"generation": 3}, "spec": {"replicas": 1}}
    seen = snapshot(spec, pods=(_crashed(4),), status=back)
    unseen = {**head, "status": {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1}}
    outdated = {**head, "status": {"observedGeneration": 3, "replicas": 1, "updatedReplicas": 0}}
    current = {**head, "status": {"observedGeneration": 3, "replicas": 1, "updatedReplicas": 1}}
    for live, failed in ((unseen, False), (outdated, False), (current, True)):
        found = ending.failure(replace(seen, children={("StatefulSet", "light-0-head"): live}), False, [])
        assert (found is not None) is failed
    going = _crashed(4)
    going["metadata"]["deletionTimestamp"] = EARLIER
    assert ending.failure(replace(seen, pods=(going,)), False, []) is None


def test_a_failure_stays_when_its_pod_is_gone_until_the_spec_changes() -> None:
    failed = Condition(type="Failed", status="True", reason="RestartsExhausted", message="m", last_transition_time="x")
    status = NodeStatus(observed_generation=3, conditions=[failed])
    seen = snapshot(node_spec(failurePolicy={"maxRestarts": 3}), pods=(), status=status)
    found = ending.failure(seen, False, [])
    assert found and (found.reason, found.message) == (Reason.RESTARTS_EXHAUSTED, "m")
    edited = status.model_copy(update={"observed_generation": 2})
    assert ending.failure(replace(seen, status=edited), False, []) is None


def test_the_next_limit_in_time_is_known() -> None:
    spec = node_spec(stopWhen={"seconds": HOUR - 5}, failurePolicy={"deadlineSeconds": HOUR + 5})
    assert ending.seconds_left(snapshot(spec)) == 5
    assert ending.seconds_left(snapshot(node_spec())) is None


def _ended(kind: str, ago: int, status: str = "True") -> Condition:
    at = (NOW - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Condition(type=kind, status=status, reason="R", last_transition_time=at)  # type: ignore[arg-type]


def test_what_is_finished_goes_after_its_time() -> None:
    assert expires_in(60, [_ended("Complete", 20)], NOW) == 40
    assert expires_in(0, [_ended("Failed", 20)], NOW) == -20
    assert expires_in(None, [_ended("Complete", 20)], NOW) is None
    assert expires_in(60, [_ended("Complete", 90, "False"), _ended("Ready", 90)], NOW) is None


@pytest.mark.parametrize(
    ("ends", "failed"),
    [(("Complete", "Complete"), "False"), (("Complete", "Failed"), "True"), (("Failed", "Ready"), "False")],
)
def test_a_swarm_has_failed_when_nothing_of_it_goes_on(ends: tuple[str, str], failed: str) -> None:
    nodes = tuple(node_object(i, NodeStatus(conditions=[_ended(kind, 9)])) for i, kind in enumerate(ends))
    seen = swarm_snapshot(swarm_spec(nodes=2), nodes=nodes)
    conditions = {each.type: each for each in swarm_status(seen, SWARM_ID, swarm_nodes(seen)).conditions}
    assert conditions[ConditionType.FAILED].status == failed
