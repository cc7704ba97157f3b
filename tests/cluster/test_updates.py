"""Changes go through a Swarm's Nodes in turn, stop where they fail, and what can change in flight replaces no pod."""

import json
import time
from base64 import b64decode
from typing import Any

import pytest

from tests.cluster.conftest import Starter
from tests.cluster.control_plane import ControlPlane, until
from tests.cluster.manifests import merged, swarm
from tests.cluster.operator_process import OperatorProcess

BASE: dict[str, Any] = {
    "nodes": 2,
    "update": {"minReadySeconds": 0},
    "template": {role: {"spec": {"schedulerName": "nobody"}} for role in ("head", "rollout")},
}
HEADS = ("light-0-head-0", "light-1-head-0")


def _swarm(namespace: str, **changes: Any) -> dict[str, Any]:
    return swarm(namespace, **merged(BASE, changes))


def _uids(cluster: ControlPlane, namespace: str) -> tuple[str | None, ...]:
    pods = {pod["metadata"]["name"]: pod["metadata"] for pod in cluster.items(namespace, "pods")}
    return tuple(pods[name]["uid"] if name in pods else None for name in HEADS)


def _progressing(cluster: ControlPlane, namespace: str, reason: str) -> dict[str, Any] | None:
    found = cluster.condition(namespace, "swarm", "light", "Progressing")
    return found if found and found["reason"] == reason else None


def _run(cluster: ControlPlane, namespace: str, *names: str) -> None:
    for name in names:
        until(lambda name=name: cluster.get(namespace, "pod", name), 30, f"pod {name}")
        cluster.run_pod(namespace, name, "127.0.9.9")


def _ready(cluster: ControlPlane, namespace: str) -> bool:
    status = (cluster.get(namespace, "swarm", "light") or {}).get("status", {})
    return status.get("readyNodes") == 2 and status.get("updatedNodes") == 2


@pytest.fixture
def operator(start: Starter) -> OperatorProcess:
    """One that leads."""
    return start()


@pytest.fixture
def light(cluster: ControlPlane, namespace: str, operator: OperatorProcess) -> tuple[str | None, ...]:
    """A Swarm of two Nodes that are ready; the uids of their head pods."""
    cluster.provide_volumes(namespace, 2)
    cluster.apply(_swarm(namespace))
    _run(cluster, namespace, *HEADS)
    until(lambda: _ready(cluster, namespace), 30, "both Nodes ready")
    return _uids(cluster, namespace)


def test_a_change_goes_through_the_nodes_in_turn(
    cluster: ControlPlane, namespace: str, light: tuple[str | None, ...]
) -> None:
    cluster.apply(_swarm(namespace, algorithm={"maxGradNorm": 0.5}))
    until(lambda: _replaced(cluster, namespace, light), 30, "one head replaced")
    until(lambda: _progressing(cluster, namespace, "RollingOut"), 30, "the Swarm says so")
    time.sleep(6)  # longer than it takes until the other asks again
    assert _replaced(cluster, namespace, light) == 1, "the other waits until the first is ready"
    names = {name for name, old, new in zip(HEADS, light, _uids(cluster, namespace), strict=True) if old != new}
    _run(cluster, namespace, *names)
    until(lambda: _replaced(cluster, namespace, light) == 2, 40, "the other in its turn")
    _run(cluster, namespace, *HEADS)
    until(lambda: _ready(cluster, namespace), 30, "both ready again")


def _replaced(cluster: ControlPlane, namespace: str, before: tuple[str | None, ...]) -> int:
    now = _uids(cluster, namespace)
    return sum(new is not None and old != new for old, new in zip(before, now, strict=True))


BAD = {"head": {"spec": {"containers": [{"name": "trainer", "image": "nowhere/worker:v9"}]}}}


def _break_the_first(cluster: ControlPlane, namespace: str, before: tuple[str | None, ...]) -> str:
    """Waits until one head has the bad image, and says of it what a kubelet would; returns its name."""
    until(lambda: _replaced(cluster, namespace, before) == 1, 30, "one head replaced")
    (first,) = [name for name, old, new in zip(HEADS, before, _uids(cluster, namespace), strict=True) if old != new]
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    status = {"name": "trainer", "image": "nowhere/worker:v9", "imageID": "", "ready": False, "restartCount": 0}
    cluster.set_pod(namespace, first, {"phase": "Pending", "containerStatuses": [{**status, "state": waiting}]})
    return first


def test_a_change_that_fails_stops_and_can_be_taken_back(
    cluster: ControlPlane, namespace: str, light: tuple[str | None, ...]
) -> None:
    cluster.apply(_swarm(namespace, template=BAD))
    first = _break_the_first(cluster, namespace, light)
    stalled = until(lambda: _progressing(cluster, namespace, "UpdateStalled"), 30, "the reason")
    assert stalled["status"] == "False"
    for word in ("1 of 2 Nodes have the changed spec", "no such image", first, "set the changed fields back"):
        assert word in stalled["message"]
    # an Event is written after the status that it tells of
    until(
        lambda: any(event["reason"] == "UpdateStalled" for event in cluster.items(namespace, "events")), 10, "the Event"
    )
    time.sleep(6)
    assert _replaced(cluster, namespace, light) == 1, "the other is left alone"

    cluster.patch(namespace, "swarm", "light", {"spec": {"template": {"head": {"spec": {"containers": None}}}}})
    until(lambda: _image(cluster, namespace, first) == "kubeswarm/worker:dev", 40, "the first has the old image again")
    _run(cluster, namespace, first)
    until(lambda: _ready(cluster, namespace), 30, "both ready")
    assert _replaced(cluster, namespace, light) == 1, "the other never changed"


def test_a_change_that_is_not_ready_in_time_is_taken_back(
    cluster: ControlPlane,
    namespace: str,
    start: Starter,
    operator: OperatorProcess,
    light: tuple[str | None, ...],
) -> None:
    """By another operator than the one that began it, and without an edit of the spec; a better edit goes on."""
    update = {"progressDeadlineSeconds": 15}
    cluster.apply(_swarm(namespace, template=BAD, update=update))
    first = _break_the_first(cluster, namespace, light)
    until(lambda: _progressing(cluster, namespace, "UpdateStalled"), 30, "the trial")
    begun = (cluster.get(namespace, "swarmnode", first.removesuffix("-head-0")) or {})["status"]
    assert begun["change"]["revision"] != begun["revision"]
    asked = (cluster.get(namespace, "swarm", "light") or {})["spec"]
    operator.kill()
    start()
    until(lambda: _image(cluster, namespace, first) == "kubeswarm/worker:dev", 60, "the earlier image")
    back = until(lambda: _progressing(cluster, namespace, "RolledBack"), 30, "the Swarm says so")
    assert back["status"] == "False"
    for word in (begun["revision"][:10], begun["change"]["revision"][:10], "not ready within 15 s", "no such image"):
        assert word in back["message"]
    until(lambda: cluster.warned(namespace, "RolledBack") == {"Node", "Swarm"}, 10, "their Events")
    _run(cluster, namespace, first)
    until(lambda: _ready_nodes(cluster, namespace) == 2, 30, "both ready with what they had")
    time.sleep(12)  # longer than it takes until the other asks again, and than the deadline of a new trial
    assert (_replaced(cluster, namespace, light), _updated_nodes(cluster, namespace)) == (1, 0), "nobody tries it again"
    assert (cluster.get(namespace, "swarm", "light") or {})["spec"] == asked

    cluster.patch(namespace, "swarm", "light", {"spec": {"template": {"head": {"spec": {"containers": None}}}}})
    until(lambda: _ready(cluster, namespace), 30, "set back: all is as it was")
    now = _uids(cluster, namespace)
    cluster.apply(_swarm(namespace, algorithm={"maxGradNorm": 0.5}, update=update))
    until(lambda: _replaced(cluster, namespace, now) == 1, 30, "a better change begins")
    _run(cluster, namespace, *HEADS)
    until(lambda: _replaced(cluster, namespace, now) == 2, 40, "and goes on")
    _run(cluster, namespace, *HEADS)
    until(lambda: _ready(cluster, namespace), 30, "both ready with it")


def _break(cluster: ControlPlane, namespace: str, *names: str, **status: Any) -> None:
    """Says of heads with the bad image what a kubelet would."""
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    base = {"name": "trainer", "image": "nowhere/worker:v9", "imageID": "", "ready": False, "restartCount": 0}
    for name in names:
        until(lambda name=name: _image(cluster, namespace, name) == "nowhere/worker:v9", 40, f"the bad image of {name}")
        ended = {"containerStatuses": [{**base, "state": waiting, **status}]}
        cluster.set_pod(namespace, name, {"phase": "Pending", **ended})


@pytest.mark.usefixtures("light")
def test_a_change_that_was_made_in_a_suspension_is_taken_back_too(cluster: ControlPlane, namespace: str) -> None:
    """Its time begins when the Swarm goes on, however long it was suspended."""
    update = {"progressDeadlineSeconds": 10}
    cluster.apply(_swarm(namespace, suspend=True, update=update))
    until(lambda: not cluster.items(namespace, "pods"), 30, "no pods")
    cluster.apply(_swarm(namespace, suspend=True, update=update, template=BAD))
    until(lambda: _trials(cluster, namespace) == ["", ""], 30, "on trial, and not begun")
    cluster.apply(_swarm(namespace, suspend=False, update=update, template=BAD))
    _break(cluster, namespace, *HEADS)
    until(lambda: _progressing(cluster, namespace, "RolledBack"), 60, "the Swarm says so")
    for name in HEADS:
        until(lambda name=name: _image(cluster, namespace, name) == "kubeswarm/worker:dev", 40, "the earlier image")
    _run(cluster, namespace, *HEADS)
    until(lambda: _ready_nodes(cluster, namespace) == 2, 30, "both at work with what they had")


def _trials(cluster: ControlPlane, namespace: str) -> list[str | None]:
    """Since when each Node's change is on trial; None: it has none."""
    nodes = cluster.items(namespace, "swarmnodes")
    return [(node["status"].get("change") or {"since": None})["since"] for node in nodes]


def test_a_change_that_restarts_too_often_is_taken_back_and_the_node_does_not_fail(
    cluster: ControlPlane, namespace: str, light: tuple[str | None, ...]
) -> None:
    """Long before its deadline; what the pods with it have cost does not count against those before."""
    policy = {"maxRestarts": 2}
    cluster.apply(_swarm(namespace, failurePolicy=policy, template=BAD))
    until(lambda: _replaced(cluster, namespace, light) == 1, 30, "one head replaced")
    (first,) = [name for name, old, new in zip(HEADS, light, _uids(cluster, namespace), strict=True) if old != new]
    _break(cluster, namespace, first, restartCount=3)
    back = until(lambda: _progressing(cluster, namespace, "RolledBack"), 60, "the Swarm says so")
    assert "3 restarts, more than failurePolicy.maxRestarts" in back["message"]
    until(lambda: _image(cluster, namespace, first) == "kubeswarm/worker:dev", 40, "the earlier image")
    _run(cluster, namespace, first)
    until(lambda: _ready_nodes(cluster, namespace) == 2, 30, "both at work")
    node = first.removesuffix("-head-0")
    assert (cluster.condition(namespace, "swarmnode", node, "Failed") or {})["status"] == "False"
    events = cluster.items(namespace, "events")
    assert not [each for each in events if each["reason"] == "RestartsExhausted"], "it never had failed"


def _ready_nodes(cluster: ControlPlane, namespace: str) -> int:
    return (cluster.get(namespace, "swarm", "light") or {}).get("status", {}).get("readyNodes", 0)


def _updated_nodes(cluster: ControlPlane, namespace: str) -> int:
    return (cluster.get(namespace, "swarm", "light") or {}).get("status", {}).get("updatedNodes", 0)


def _image(cluster: ControlPlane, namespace: str, pod: str) -> str | None:
    live = cluster.get(namespace, "pod", pod)
    return live["spec"]["containers"][0]["image"] if live else None


def test_a_pause_holds_a_change_back(cluster: ControlPlane, namespace: str, light: tuple[str | None, ...]) -> None:
    cluster.apply(_swarm(namespace, algorithm={"maxGradNorm": 0.5}, update={"paused": True}))
    until(lambda: _progressing(cluster, namespace, "UpdatePaused"), 30, "the reason")
    time.sleep(6)
    assert _uids(cluster, namespace) == light
    cluster.apply(_swarm(namespace, algorithm={"maxGradNorm": 0.5}, update={"paused": False}))
    until(lambda: _replaced(cluster, namespace, light) == 1, 30, "the first of them")


def test_what_can_change_in_flight_replaces_no_pod(
    cluster: ControlPlane, namespace: str, light: tuple[str | None, ...]
) -> None:
    cluster.apply(_swarm(namespace, algorithm={"learningRate": 0.001}, sharing={"external": 9}))
    until(lambda: _training(cluster, namespace).get("sharing") == {"external": 9}, 30, "the pods' configuration")
    assert _training(cluster, namespace)["algorithm"]["learningRate"] == 0.001
    time.sleep(3)
    assert _uids(cluster, namespace) == light
    assert _ready(cluster, namespace)


def _training(cluster: ControlPlane, namespace: str) -> dict[str, Any]:
    live = cluster.get(namespace, "configmap", "light-0-config")
    return json.loads(live["data"]["node.json"])["training"] if live else {}


def test_another_worker_image_goes_in_turn(cluster: ControlPlane, namespace: str, start: Starter) -> None:
    cluster.provide_volumes(namespace, 2)
    first = start()
    cluster.apply(_swarm(namespace))
    _run(cluster, namespace, *HEADS)
    until(lambda: _ready(cluster, namespace), 30, "both Nodes ready")
    before = _uids(cluster, namespace)
    first.stop()
    start(images={"worker": "kubeswarm/worker:next"})
    until(lambda: _replaced(cluster, namespace, before) == 1, 40, "one head replaced")
    time.sleep(6)
    assert _replaced(cluster, namespace, before) == 1
    images = {_image(cluster, namespace, name) for name in HEADS}
    assert images == {"kubeswarm/worker:dev", "kubeswarm/worker:next"}


def test_the_token_of_ray_is_made_anew_in_turn(cluster: ControlPlane, namespace: str, start: Starter) -> None:
    cluster.provide_volumes(namespace, 2)
    first = start()
    cluster.apply(_swarm(namespace))
    _run(cluster, namespace, *HEADS)
    until(lambda: _ready(cluster, namespace), 30, "both Nodes ready")
    pods, tokens = _uids(cluster, namespace), _tokens(cluster, namespace)
    assert len(set(tokens)) == 2
    first.stop()
    second = start(rayTokenDays=1 / 86400)
    until(lambda: _replaced(cluster, namespace, pods) == 1, 40, "one head replaced")
    second.stop()
    changed = [old != new for old, new in zip(tokens, _tokens(cluster, namespace), strict=True)]
    replaced = [old != new for old, new in zip(pods, _uids(cluster, namespace), strict=True)]
    assert changed == replaced, "a pod that keeps running keeps its token"


def _tokens(cluster: ControlPlane, namespace: str) -> list[bytes]:
    found = [cluster.get(namespace, "secret", f"light-{index}-ray") or {} for index in range(2)]
    return [b64decode(each["data"]["token"]) for each in found]
