"""Only a head pod that got its machine with a claim that is gone, or is to go, is made anew."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from kubeswarm_api.names import ROLLOUT
from kubeswarm_operator.build.stateful_set import stateful_set
from kubeswarm_operator.decide.children import TEMPLATE_ANNOTATION, differs, stamped
from kubeswarm_operator.decide.stranding import stranded, without_head
from kubeswarm_operator.observe.snapshot import NodeSnapshot
from tests.unit.operator.things import IMAGES, NOW, OWNER, node_snapshot, node_spec, pod

WAITING = {"name": "trainer", "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}


def _claim(phase: str = "Pending", age: int = 60, **meta: Any) -> dict[str, Any]:
    made = (NOW - timedelta(seconds=age)).isoformat()
    spec = {"volumeName": "volume-1"} if phase == "Bound" else {}
    named = {"name": "light-0-data", "creationTimestamp": made, **meta}
    return {"kind": "PersistentVolumeClaim", "metadata": named, "spec": spec, "status": {"phase": phase}}


def _head(node_name: str | None = "machine-7", since: int = 60, **status: Any) -> dict[str, Any]:
    at = (NOW - timedelta(seconds=since)).isoformat()
    placed = {"type": "PodScheduled", "status": "True", "lastTransitionTime": at}
    body = pod(ready=False, phase="Pending", conditions=[placed], **status)
    return {**body, "spec": {"nodeName": node_name} if node_name else {}}


def _seen(head: dict[str, Any], claim: dict[str, Any] | None, **template: Any) -> NodeSnapshot:
    workload = stateful_set(OWNER, node_spec(template={"head": {"spec": template}}), IMAGES, "digest", 1, None)
    children = [workload, *([claim] if claim else [])]
    return node_snapshot(pods=(head,), children={(each["kind"], each["metadata"]["name"]): each for each in children})


def test_a_pod_with_a_machine_and_a_claim_without_a_volume_is_made_anew() -> None:
    assert stranded(_seen(_head(), _claim()))
    assert stranded(_seen(_head(containerStatuses=[WAITING]), _claim())), "the kubelet waits for the volume"


LEFT_ALONE: list[tuple[str, dict[str, Any], dict[str, Any] | None]] = [
    ("its claim has a volume", _head(), _claim("Bound")),
    ("its claim lost it: that is told", _head(), _claim("Lost")),
    ("its claim is being made", _head(), None),
    ("its claim is young", _head(), _claim(age=14)),
    ("its claim is going", _head(), _claim(deletionTimestamp=NOW.isoformat())),
    ("no machine yet: the scheduler will look at the claim", _head(None), _claim()),
    ("it has its machine for a moment only", _head(since=19), _claim()),
    ("it runs", _head(containerStatuses=[{**WAITING, "state": {"running": {}}}]), _claim()),
    ("its sidecar runs", _head(initContainerStatuses=[{**WAITING, "state": {"running": {}}}]), _claim()),
    ("it has run", _head(containerStatuses=[{**WAITING, "lastState": {"terminated": {}}}]), _claim()),
    ("it has run once", _head(containerStatuses=[{**WAITING, "restartCount": 1}]), _claim()),
]


@pytest.mark.parametrize(("why", "head", "claim"), LEFT_ALONE, ids=[why for why, *_ in LEFT_ALONE])
def test_others_are_left_alone(why: str, head: dict[str, Any], claim: dict[str, Any] | None) -> None:
    assert not stranded(_seen(head, claim)), why


def test_a_pod_that_was_placed_after_its_claim_was_deleted_does_not_keep_it() -> None:
    def seen(born: int, deleted: int = 30, **changes: Any) -> NodeSnapshot:
        ago = {age: (NOW - timedelta(seconds=age)).isoformat() for age in (born, deleted)}
        runs = _head(containerStatuses=[{**WAITING, "state": {"running": {}}}], **changes)
        head = {**runs, "metadata": {**runs["metadata"], "creationTimestamp": ago[born]}}
        return _seen(head, _claim("Bound", deletionTimestamp=ago[deleted]))

    assert stranded(seen(born=20))
    assert not stranded(seen(born=40)), "it was there before, and may end its work"
    assert not stranded(seen(born=30)), "it may have been"
    unplaced = seen(born=20)
    assert not stranded(replace(unplaced, pods=({**unplaced.pods[0], "spec": {}},))), "the scheduler will look"
    going = {**unplaced.pods[0], "metadata": {**unplaced.pods[0]["metadata"], "deletionTimestamp": "x"}}
    assert stranded(replace(unplaced, pods=(going,))), "no other one until it and the claim are gone"


def test_pods_that_run_go_or_do_not_use_the_claim_are_left_alone() -> None:
    for phase in ("Running", "Succeeded", "Failed", "Unknown"):
        assert not stranded(_seen({**_head(), "status": {**_head()["status"], "phase": phase}}, _claim()))
    going = _head()
    assert not stranded(_seen({**going, "metadata": {**going["metadata"], "deletionTimestamp": "x"}}, _claim()))
    rollout = {**_head(), "metadata": pod(role=ROLLOUT)["metadata"]}
    assert not stranded(_seen(rollout, _claim()))


def test_a_pod_that_is_placed_by_hand_would_only_come_again() -> None:
    assert not stranded(_seen(_head(), _claim(), nodeName="machine-7"))


def test_only_the_number_of_heads_changes() -> None:
    wanted = stamped(stateful_set(OWNER, node_spec(), IMAGES, "digest", 1, None))
    none = without_head(wanted)
    assert {**none["spec"], "replicas": 1} == wanted["spec"]
    mark = TEMPLATE_ANNOTATION
    assert none["metadata"]["annotations"][mark] == wanted["metadata"]["annotations"][mark]
    assert differs(none, wanted), "so that it comes back"
    other = {"kind": "Deployment", "spec": {"replicas": 3}}
    assert without_head(other) == other
