"""Nodes in a queue: what of their pods begins together, what is asked for meanwhile, and what is said of it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_api.conditions import Condition, ConditionType, Reason
from kubeswarm_api.names import HEAD, ROLLOUT
from kubeswarm_api.node import NodeSpec, NodeStatus
from kubeswarm_operator.build.network_policy import Peers
from kubeswarm_operator.build.objects import objects
from kubeswarm_operator.decide.completion import progress
from kubeswarm_operator.decide.health import problems
from kubeswarm_operator.decide.node_status import NodeFacts, node_conditions
from kubeswarm_operator.decide.queueing import GATE, Admission, admission, gang
from kubeswarm_operator.decide.replicas import Replicas, replicas
from kubeswarm_operator.decide.swarm_nodes import swarm_nodes
from kubeswarm_operator.decide.swarm_status import swarm_status
from kubeswarm_operator.observe.snapshot import NodeSnapshot
from tests.unit.operator.things import (
    IMAGES,
    OWNER,
    SWARM_ID,
    node_config,
    node_object,
    node_snapshot,
    node_spec,
    pod,
    swarm_snapshot,
    swarm_spec,
)

QUEUE: dict[str, Any] = {"name": "research", "priorityClass": "training", "rolloutPriorityClass": "spare"}
GROUP = "kueue.x-k8s.io/pod-group-name"
PEERS = Peers("system", None, None, hub=False)


def _spec(workers: int = 3, **changes: Any) -> NodeSpec:
    return node_spec(rollout={"workers": workers}, **{"queue": QUEUE, **changes})


def _workloads(spec: NodeSpec, head: bool = True) -> dict[str, dict[str, Any]]:
    """By name, for a Node whose head has quota or has none."""
    count = replicas(spec, False, Admission(head, spec.rollout.workers) if spec.queue else None, None)
    made = objects(OWNER, spec, node_config(spec), IMAGES, PEERS, count, ("t", "n"), None)
    return {each["metadata"]["name"]: each for each in made if each["kind"] in ("StatefulSet", "Deployment")}


def _template(workload: dict[str, Any]) -> dict[str, Any]:
    return workload["spec"]["template"]["metadata"]


def _held(name: str, role: str) -> dict[str, Any]:
    body = pod(name, role, ready=False)
    condition = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
    spec, status = {"schedulingGates": [{"name": GATE}]}, {"phase": "Pending", "conditions": [condition]}
    return {**body, "spec": spec, "status": status}


def test_a_head_and_its_first_rollout_pods_are_one_group_of_pods() -> None:
    made = _workloads(_spec(workers=4, queue={**QUEUE, "minWorkers": 2}))
    assert {name: each["spec"]["replicas"] for name, each in made.items()} == {
        "light-0-head": 1,
        "light-0-gang": 2,
        "light-0-rollout": 2,
    }
    groups = {name: _template(each)["labels"].get(GROUP) for name, each in made.items()}
    assert groups["light-0-head"] == groups["light-0-gang"] != groups["light-0-rollout"] is None
    for name in ("light-0-head", "light-0-gang"):
        annotations = _template(made[name])["annotations"]
        assert annotations["kueue.x-k8s.io/pod-group-total-count"] == "3"
        assert annotations["kueue.x-k8s.io/pod-group-serving"] == "true"
    priorities = {name: _template(each)["labels"]["kueue.x-k8s.io/priority-class"] for name, each in made.items()}
    assert priorities == {"light-0-head": "training", "light-0-gang": "training", "light-0-rollout": "spare"}
    for each in made.values():
        assert _template(each)["labels"]["kueue.x-k8s.io/queue-name"] == "research"
        selector = each["spec"]["selector"]["matchLabels"]
        assert selector.items() <= _template(each)["labels"].items()
        assert not any(key.startswith("kueue") for key in selector), "what may change is in no selector"


def test_without_a_queue_nothing_of_it_is_there() -> None:
    made = _workloads(_spec(queue=None))
    assert {name: each["spec"]["replicas"] for name, each in made.items()} == {"light-0-head": 1, "light-0-rollout": 3}
    assert "kueue" not in str(made)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"rollout": {"spec": {"containers": [{"name": "rollout", "env": [{"name": "A", "value": "b"}]}]}}}, True),
        ({"rollout": {"spec": {"containers": [{"name": "rollout", "image": "other:v2"}]}}}, True),
        ({"rollout": {"spec": {"containers": [{"name": "rollout", "resources": {"requests": {"cpu": "2"}}}]}}}, False),
        ({"head": {"spec": {"nodeSelector": {"disk": "fast"}}}}, False),
    ],
)
def test_a_group_is_another_one_where_quota_or_placement_is(changes: dict[str, Any], same: bool) -> None:
    """Pods that Kueue takes for others of the group would never get the group's quota."""

    def group(spec: NodeSpec) -> str:
        return _template(_workloads(spec)["light-0-head"])["labels"][GROUP]

    assert (group(_spec(template=changes)) == group(_spec())) is same
    assert group(_spec(workers=9)) == group(_spec()), "more of the other rollout pods are no other group"


@given(
    workers=st.integers(0, 6),
    least=st.integers(1, 6),
    head=st.booleans(),
    let_in=st.integers(0, 8),
)
def test_others_are_asked_for_only_when_the_head_has_begun(workers: int, least: int, head: bool, let_in: int) -> None:
    spec = _spec(workers, queue={**QUEUE, "minWorkers": least})
    found = replicas(spec, False, Admission(head, let_in), None)
    assert gang(spec) == min(workers, least)
    assert found.head == 1
    assert found.rollout == (workers if head else gang(spec))
    assert gang(spec) <= found.ready <= found.rollout
    if head and gang(spec) <= let_in <= workers:
        assert found.ready == let_in
    assert sum(each["spec"]["replicas"] for each in _workloads(spec, head).values()) == 1 + found.rollout


def test_what_is_let_in_is_seen_by_the_gates() -> None:
    spec = _spec()
    head, first = pod("light-0-head-0", HEAD), pod("light-0-gang-a", ROLLOUT)
    other = _held("light-0-rollout-b", ROLLOUT)
    waiting = node_snapshot(spec, pods=(_held("light-0-head-0", HEAD), _held("light-0-gang-a", ROLLOUT)))
    assert admission(waiting) == Admission(head=False, rollout=0)
    assert admission(node_snapshot(spec, pods=(head, first, other))) == Admission(head=True, rollout=1)
    assert admission(node_snapshot(node_spec(), pods=(head, first, other))) is None
    assert admission(node_snapshot(spec, pods=())) == Admission(head=False, rollout=0), "at the beginning"
    # a head that is being replaced
    live = {("Deployment", "light-0-rollout"): {"kind": "Deployment", "metadata": {}, "spec": {"replicas": 2}}}
    assert admission(node_snapshot(spec, pods=(first,), children=live)) == Admission(head=True, rollout=1)


def _told(snapshot: NodeSnapshot) -> dict[str, Condition]:
    assert snapshot.spec is not None
    count = replicas(snapshot.spec, False, admission(snapshot), None)
    facts = NodeFacts(SWARM_ID, None, progress(snapshot, None, None), count, tuple(problems(snapshot)), False)
    return {each.type: each for each in node_conditions(snapshot, facts)}


def test_to_wait_in_a_queue_is_told_and_is_nothing_wrong() -> None:
    pods = (_held("light-0-head-0", HEAD), _held("light-0-gang-a", ROLLOUT))
    told = _told(node_snapshot(_spec(), pods=pods))
    ready = told[ConditionType.READY]
    assert (ready.status, ready.reason) == ("False", Reason.QUEUED)
    for words in ("queue research", "its head and 1 rollout pod at once", "kubectl describe workloads", "light-0-"):
        assert words in ready.message
    assert told[ConditionType.PROGRESSING].reason == Reason.QUEUED
    assert told[ConditionType.DEGRADED].status == "False"


def test_a_node_is_ready_with_the_pods_that_have_quota() -> None:
    pods = (pod(), pod("light-0-gang-a", ROLLOUT), *(_held(f"light-0-rollout-{name}", ROLLOUT) for name in "bc"))
    snapshot = node_snapshot(_spec(), pods=pods)
    ready = _told(snapshot)[ConditionType.READY]
    assert (ready.status, ready.reason) == ("True", Reason.TRAINING)
    assert "1 of 3 rollout pods are; the others wait in queue research" in ready.message
    late = pod("light-0-rollout-b", ROLLOUT, ready=False)
    told = _told(replace(snapshot, pods=(*pods[:2], late)))
    assert told[ConditionType.READY].reason == Reason.POD_NOT_READY, "one that was let in is required"


def test_a_gate_of_somebody_else_is_told_as_what_it_is() -> None:
    body = _held("light-0-head-0", HEAD)
    body["spec"] = {"schedulingGates": [{"name": "quota.example/admission"}]}
    assert _told(node_snapshot(_spec(), pods=(body,)))[ConditionType.READY].reason == Reason.SCHEDULING_GATED


def test_a_swarm_whose_nodes_wait_waits() -> None:
    pods = (_held("light-0-head-0", HEAD), _held("light-0-gang-a", ROLLOUT))
    status = NodeStatus(conditions=list(_told(node_snapshot(_spec(), pods=pods)).values()))
    snapshot = swarm_snapshot(swarm_spec(queue=QUEUE), nodes=(node_object(0, status),))
    told = {each.type: each for each in swarm_status(snapshot, SWARM_ID, swarm_nodes(snapshot)).conditions}
    assert told[ConditionType.READY].reason == told[ConditionType.PROGRESSING].reason == Reason.QUEUED
    assert told[ConditionType.DEGRADED].status == "False"


def test_a_suspended_node_has_no_pods_in_the_queue() -> None:
    assert replicas(_spec(suspend=True), False, Admission(True, 3), None) == Replicas(0, 0, 0)
