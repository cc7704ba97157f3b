"""What the operator says while it can't hear of pods."""

from pathlib import Path

import pytest

from hack.simulation.plane import Plane
from tests.simulation.life import says, swarm
from tests.simulation.machine import KINDS
from tests.simulation.world import World, world

MERGE = "application/merge-patch+json"
NOWHERE = {"head": {"spec": {"nodeSelector": {"disk": "none"}}}}
#: For all that the operator hears of yet to have been heard, and told.
HEARD_SECONDS = 8.0


def _node(made: World, namespace: str) -> dict[str, object]:
    return made.objects(namespace, KINDS).get(("Node", "light-0")) or {"metadata": {"generation": 0}}


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
