"""What the operator says while it can't hear of what a Node or a Swarm has, or while that changes under its hands."""

from pathlib import Path
from typing import Any

import pytest

from hack.simulation.plane import Plane
from tests.simulation.life import says, swarm
from tests.simulation.machine import KINDS
from tests.simulation.world import World, world

MERGE = "application/merge-patch+json"
NOWHERE = {"head": {"spec": {"nodeSelector": {"disk": "none"}}}}
#: For all that the operator hears of yet to have been heard, and told.
HEARD_SECONDS = 8.0


def _found(made: World, namespace: str, kind: str, name: str) -> dict[str, Any]:
    return made.objects(namespace, KINDS).get((kind, name)) or {"metadata": {"generation": 0}}


def _node(made: World, namespace: str) -> dict[str, Any]:
    return _found(made, namespace, "Node", "light-0")


def test_a_node_is_not_ready_by_pods_of_which_nothing_is_heard(plane: Plane, tmp_path: Path) -> None:
    """Its pods have gone and a new one finds no machine, while the last that was heard is that they are ready."""
    with world(plane, tmp_path) as made:
        namespace = made.namespace()
        path = KINDS["Swarm"].format(namespace)
        made.send("POST", path, swarm(namespace, "light", rollout={"workers": 0}))
        made.until(lambda: says(_node(made, namespace), "Ready", "Training"), 60)

        made.refuse_watches("pods")
        made.send("PATCH", f"{path}/light", {"spec": {"suspend": True}}, MERGE)
        made.until(lambda: not any(kind == "Pod" for kind, _ in made.objects(namespace, KINDS)), 60)
        made.send("PATCH", f"{path}/light", {"spec": {"suspend": False, "template": NOWHERE}}, MERGE)
        made.until(lambda: any(kind == "Pod" for kind, _ in made.objects(namespace, KINDS)), 60)
        with pytest.raises(TimeoutError):
            made.until(lambda: says(_node(made, namespace), "Ready", "Training"), HEARD_SECONDS)

        made.heal()
        made.until(lambda: says(_node(made, namespace), "Ready", "Unschedulable"), 60)


def test_a_swarm_is_not_ready_by_nodes_of_which_nothing_is_heard(plane: Plane, tmp_path: Path) -> None:
    """Its Node has gone, while the last that was heard is that it is ready; the Swarm changes, and is looked at."""
    with world(plane, tmp_path) as made:
        namespace = made.namespace()
        path = KINDS["Swarm"].format(namespace)

        def ready() -> bool:
            return says(_found(made, namespace, "Swarm", "light"), "Ready", "Training")

        made.send("POST", path, swarm(namespace, "light", rollout={"workers": 0}))
        made.until(ready, 60)

        made.refuse_watches("swarmnodes")
        made.send("DELETE", f"{KINDS['Node'].format(namespace)}/light-0")
        made.until(lambda: ("Node", "light-0") not in made.objects(namespace, KINDS), 60)
        made.send("PATCH", f"{path}/light", {"spec": {"ttlSecondsAfterFinished": 3600}}, MERGE)
        with pytest.raises(TimeoutError):
            made.until(ready, HEARD_SECONDS)

        made.heal()
        made.until(lambda: ("Node", "light-0") in made.objects(namespace, KINDS), 60)
        made.until(ready, 60)


def test_what_a_pass_says_is_of_the_spec_that_it_has_brought_about(plane: Plane, tmp_path: Path) -> None:
    """A Node is looked at when more rollout pods are asked for: it isn't ready by those that the spec before wanted."""
    with world(plane, tmp_path) as made:
        namespace = made.namespace()
        path = KINDS["Swarm"].format(namespace)

        def workers() -> int:
            return _node(made, namespace)["spec"]["rollout"]["workers"]

        made.send("POST", path, swarm(namespace, "light", rollout={"workers": 1}))
        made.until(lambda: says(_node(made, namespace), "Ready", "Training"), 60)

        made.hold("networkpolicies")
        policy = f"{KINDS['NetworkPolicy'].format(namespace)}/light-0-head"
        made.send("PATCH", policy, {"spec": {"ingress": []}}, MERGE)
        made.until(lambda: made.waiting > 0, 60)
        made.send("PATCH", f"{path}/light", {"spec": {"rollout": {"workers": 3}}}, MERGE)
        made.until(lambda: workers() == 3, 60)
        made.heal()
        made.until(lambda: _node(made, namespace)["status"].get("readyRolloutReplicas") == 3, 60)
        made.until(lambda: says(_node(made, namespace), "Ready", "Training"), 60)
        assert not made.ungrounded(namespace)
