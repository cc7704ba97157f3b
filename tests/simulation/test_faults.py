"""Each kind of fault alone: a Swarm comes up although every request that makes it meets one."""

from collections.abc import Iterator

import pytest

from hack.simulation.plane import Plane
from tests.simulation.life import says, swarm
from tests.simulation.machine import KINDS
from tests.simulation.proxy import Fault
from tests.simulation.world import World, world

pytestmark = pytest.mark.soak
#: So long may it take in all, with back-offs and requests that wait for an answer.
SECONDS = 120.0


@pytest.fixture(scope="module")
def calm(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An operator behind a proxy."""
    with world(plane, tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.mark.parametrize("fault", Fault)
def test_a_swarm_comes_up_though_requests_fail(calm: World, fault: Fault) -> None:
    namespace = calm.namespace()
    path = KINDS["Swarm"].format(namespace)
    calm.plant_everywhere(fault)
    calm.send("POST", path, swarm(namespace, "light"))
    calm.until(lambda: _is_up(calm, namespace), SECONDS)
    assert not calm.ungrounded(namespace)
    calm.send("DELETE", f"{path}/light")
    calm.until(lambda: ("Swarm", "light") not in calm.objects(namespace, KINDS), SECONDS)
    assert calm.met[fault.name] >= (2 if fault == Fault.CONFLICT else 8)
    calm.heal()


def test_a_conflict_is_no_refusal(calm: World) -> None:
    """A status or an object that others write at the same time is written again at once, and nobody is warned."""
    namespace = calm.namespace()
    path = KINDS["Swarm"].format(namespace)
    calm.send("POST", path, swarm(namespace, "light"))
    calm.until(lambda: _is_up(calm, namespace), SECONDS)
    for rounds in range(200, 204):
        calm.plant(Fault.CONFLICT, 2)
        calm.send("PATCH", f"{path}/light", {"spec": {"rounds": rounds}}, "application/merge-patch+json")
        calm.until(lambda rounds=rounds: _is_up(calm, namespace, rounds), 15)
    events = calm.send("GET", f"/api/v1/namespaces/{namespace}/events")["items"]
    assert not [event["message"] for event in events if event["reason"] in ("ApiRefused", "InvalidKey")]


def _is_up(calm: World, namespace: str, rounds: int | None = None) -> bool:
    objects = calm.objects(namespace, KINDS)
    there = [objects.get(what) for what in (("Swarm", "light"), ("Node", "light-0"))]
    asked = rounds is None or all(each is not None and each["spec"]["rounds"] == rounds for each in there)
    return asked and all(each is not None and says(each, "Ready", "Training") for each in there)
