"""The comparison of what is there with what a spec says: it finds what is missing, left over, changed or not said."""

from typing import Any

from tests.simulation.wanted import Objects, Wanted, complaints


def _body(kind: str, name: str, **more: Any) -> dict[str, Any]:
    labels = {"app.kubernetes.io/managed-by": "kubeswarm-operator"}
    return {"kind": kind, "metadata": {"name": name, "uid": name, "generation": 1, "labels": labels}, **more}


def _swarm(ready: str = "True", observed: int = 1) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": ready}, {"type": "Degraded", "status": "False"}]
    status = {"observedGeneration": observed, "conditions": conditions, "nodes": 0, "readyNodes": 0}
    return _body("Swarm", "a", status=status)


EMPTY = {"a": Wanted(nodes=0, workers=0, retain=True)}


def _complaints(*bodies: dict[str, Any], swarms: dict[str, Wanted] | None = None) -> list[str]:
    objects: Objects = {(each["kind"], each["metadata"]["name"]): each for each in bodies}
    return complaints(EMPTY if swarms is None else swarms, objects)


def test_nothing_to_say_where_all_is_as_wanted() -> None:
    assert _complaints(_swarm()) == []


def test_a_status_that_is_wrong_or_old() -> None:
    assert "Ready.status is 'False'" in _complaints(_swarm(ready="False"))[0]
    assert "of an older spec" in _complaints(_swarm(observed=0))[0]


def test_what_is_missing() -> None:
    missing = _complaints(_swarm(), swarms={"a": Wanted(nodes=1, workers=1, retain=True)})
    assert "Deployment a-0-rollout does not exist" in missing
    assert "Node a-0: 0 of 0 head pods are ready, 1 wanted" in missing


def test_what_is_left_over_but_for_keys() -> None:
    key = _body("Secret", "a-7-identity")
    assert _complaints(_swarm(), _body("Service", "a-7-head"), key) == ["Service a-7-head is left over"]
    key["metadata"]["ownerReferences"] = [{"uid": "gone", "controller": True}]
    assert _complaints(_swarm(), key) == ["Secret a-7-identity is left over"]
