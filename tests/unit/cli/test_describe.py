"""`kubectl swarm describe`: what it makes of pods, Events and conditions."""

from datetime import UTC, datetime
from typing import Any

import pytest

from kubeswarm_api.conditions import Condition
from kubeswarm_api.failures import FAILURES
from kubeswarm_cli.describe import next_steps
from kubeswarm_cli.happenings import Event, Pod


def _container(**state: Any) -> dict[str, Any]:
    return {"name": "trainer", "ready": False, "restartCount": 2, **state}


PULLED = _container(state={"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}})
ENDED = _container(state={"running": {}}, lastState={"terminated": {"exitCode": 137}})
UNFIT = {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no GPU"}]}


@pytest.mark.parametrize(
    ("status", "doing"),
    [
        ({"containerStatuses": [PULLED]}, "trainer: ImagePullBackOff no such image"),
        ({"containerStatuses": [ENDED]}, "trainer: ended before with exit code 137"),
        ({"containerStatuses": [_container(ready=True, state={"running": {}})]}, ""),
        (UNFIT, "no GPU"),
    ],
)
def test_a_pod_tells_what_its_containers_do(status: dict[str, Any], doing: str) -> None:
    pod = Pod.parse({"metadata": {"name": "light-0-head-0"}, "spec": {}, "status": {"phase": "Pending", **status}})
    assert pod.doing == doing
    assert pod.restarts == (2 if "containerStatuses" in status else 0)


@pytest.mark.parametrize(
    ("name", "ours"),
    [("light", True), ("light-0", True), ("light-0-head-0", True), ("light-01", False), ("lighter", False)],
)
def test_events_are_those_of_the_swarm_and_its_objects(name: str, ours: bool) -> None:
    event = Event.parse({"involvedObject": {"kind": "Pod", "name": name}, "lastTimestamp": "2030-01-01T00:00:00Z"})
    assert event.is_about("light", ["light-0"]) is ours
    assert event.at == datetime(2030, 1, 1, tzinfo=UTC)


def _condition(kind: str, status: str, reason: str) -> Condition:
    return Condition(type=kind, status=status, reason=reason, last_transition_time="x")  # type: ignore[arg-type]


def test_each_thing_that_is_wrong_is_told_once_with_the_next_step() -> None:
    held = [
        _condition("Ready", "False", "OutOfMemory"),
        _condition("Degraded", "True", "OutOfMemory"),
        _condition("ChainSynced", "False", "ChainUnreachable"),
        _condition("ExchangeReady", "True", "Connected"),
        _condition("SomethingNew", "False", "OfANewerOperator"),
    ]
    steps = list(next_steps([("swarm/light", held), ("node/light-0", held)]))
    for reason, told, next_step in zip(("OutOfMemory", "ChainUnreachable"), steps[::2], steps[1::2], strict=True):
        failure = next(failure for known, failure in FAILURES.items() if known == reason)
        assert f"{reason}[/] (swarm/light)" in told
        assert failure.meaning in next_step and failure.remedy in next_step


def test_nothing_wrong_is_said() -> None:
    assert list(next_steps([("swarm/light", [_condition("Ready", "True", "Training")])])) == [
        "Nothing is known to be wrong."
    ]
