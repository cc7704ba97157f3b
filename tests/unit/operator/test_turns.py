"""Changes go through a Swarm's Nodes like a Deployment's through its pods."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_api.conditions import Condition
from kubeswarm_api.node import NodeStatus
from kubeswarm_api.spec_life import Update
from kubeswarm_operator.build.stateful_set import stateful_set
from kubeswarm_operator.decide.children import TEMPLATE_ANNOTATION, stamped
from kubeswarm_operator.decide.swarm_nodes import swarm_nodes
from kubeswarm_operator.decide.swarm_status import swarm_status
from kubeswarm_operator.decide.turns import Member, changes_pods, has_turn, replaces_pods, unavailable
from tests.unit.operator.things import (
    IMAGES,
    NOW,
    OWNER,
    SWARM_ID,
    node_object,
    node_spec,
    pod,
    swarm_snapshot,
    swarm_spec,
)

SETTLE = timedelta(seconds=10)


def _condition(kind: str, status: str, reason: str = "R", message: str = "") -> Condition:
    return Condition(type=kind, status=status, reason=reason, message=message, last_transition_time="x")  # type: ignore[arg-type]


def member(
    ready: bool = True, since: int = 60, rolled: bool = True, complete: bool = False, suspended: bool = False
) -> Member:
    """A Node that has been ready for so many seconds."""
    status = NodeStatus(
        conditions=[_condition("Ready", str(ready and not complete)), _condition("Complete", str(complete))]
    )
    node = node_object(0, status)
    node["spec"]["suspend"] = suspended
    sts = {
        "kind": "StatefulSet",
        "metadata": {"generation": 1},
        "spec": {"replicas": 1},
        "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": int(rolled)},
    }
    head = pod(ready=ready)
    head["status"]["conditions"][0]["lastTransitionTime"] = (NOW - timedelta(seconds=since)).isoformat()
    return Member(node, (sts,), (head,))


@pytest.mark.parametrize(
    ("one", "away"),
    [
        (member(), False),
        (member(ready=False), True),
        (member(since=9), True),
        (member(rolled=False), True),
        (member(ready=False, complete=True), False),
        (member(ready=False, suspended=True), False),
        (Member(node_object(0), (), ()), True),
    ],
)
def test_available_means_working_for_long_enough(one: Member, away: bool) -> None:
    assert unavailable(one, SETTLE, NOW) is away


@given(others=st.lists(st.booleans(), max_size=9), most=st.integers(1, 9), mine=st.booleans(), paused=st.booleans())
def test_never_more_are_away_than_allowed(others: list[bool], most: int, mine: bool, paused: bool) -> None:
    update = Update(max_unavailable=most, paused=paused)
    turn = has_turn(member(ready=mine), [member(ready=each) for each in others], update, NOW)
    away = others.count(False)
    if paused:
        assert not turn
    elif not mine:
        assert turn, "a Node that does not work anyway costs nothing"
    else:
        assert turn == (away + 1 <= most)


def _head(replicas: int = 1, **changes: Any) -> dict[str, Any]:
    return stamped(stateful_set(OWNER, node_spec(**changes), IMAGES, "digest", replicas, None))


def _live(manifest: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(manifest["kind"], manifest["metadata"]["name"]): manifest}


FAST = {"head": {"spec": {"nodeSelector": {"disk": "fast"}}}}


def test_only_another_template_of_pods_that_are_there_replaces_them() -> None:
    assert not replaces_pods(_live(_head()), [_head()])
    assert replaces_pods(_live(_head()), [_head(template=FAST)])
    assert replaces_pods(_live(_head(template=FAST)), [_head()]), "a field that is no longer wanted"
    assert not replaces_pods(_live(_head(0)), [_head(template=FAST)]), "none are there"
    assert not replaces_pods(_live(_head()), [_head(0, template=FAST)]), "none are wanted"
    assert not replaces_pods({}, [_head()])


def test_a_change_is_one_also_where_no_pods_are() -> None:
    assert changes_pods(_live(_head(0)), [_head(0, template=FAST)])
    assert not changes_pods(_live(_head(0)), [_head()])
    assert not changes_pods({}, [_head()])


def test_a_workload_of_an_earlier_operator_is_compared_by_its_template() -> None:
    earlier = _head()
    del earlier["metadata"]["annotations"][TEMPLATE_ANNOTATION]
    assert not replaces_pods(_live(earlier), [_head()])
    assert replaces_pods(_live(earlier), [_head(template=FAST)])


#: (reasons of the Nodes' Progressing, whether the first is degraded, paused, the Swarm's Progressing: status, reason)
UPDATES = [
    (("Training", "Training"), False, False, "True", "Training", 2),
    (("RollingOut", "UpdatePending"), False, False, "True", "RollingOut", 1),
    (("ImagePullFailed", "UpdatePending"), True, False, "False", "UpdateStalled", 1),
    (("UpdatePaused", "UpdatePaused"), False, True, "False", "UpdatePaused", 0),
]


@pytest.mark.parametrize(("reasons", "degraded", "paused", "status", "reason", "updated"), UPDATES)
def test_a_swarm_tells_how_far_a_change_has_come(
    reasons: tuple[str, str], degraded: bool, paused: bool, status: str, reason: str, updated: int
) -> None:
    nodes: list[dict[str, Any]] = []
    for index, each in enumerate(reasons):
        bad = degraded and index == 0
        held = [_condition("Ready", "True"), _condition("Progressing", "True", each)]
        held.append(_condition("Degraded", str(bad), "ImagePullFailed", "pod light-0-head-0: no such image"))
        nodes.append(node_object(index, NodeStatus(conditions=held)))
    seen = swarm_snapshot(swarm_spec(nodes=2, update={"paused": paused}), nodes=tuple(nodes))
    told = swarm_status(seen, SWARM_ID, swarm_nodes(seen))
    progressing = next(each for each in told.conditions if each.type == "Progressing")
    assert (progressing.status, progressing.reason, told.updated_nodes) == (status, reason, updated)
    if degraded:
        for word in ("1 of 2 Nodes", "light-0", "no such image", "set the changed fields back"):
            assert word in progressing.message
