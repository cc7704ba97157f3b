"""What the demo decides for itself: when to give up, what it keeps of an earlier run, how it reads memory."""

from pathlib import Path
from typing import Any

import pytest

from hack.console import Problem
from hack.demo import memory, report
from hack.demo.run import impatient
from hack.demo.stages import Stages
from kubeswarm_cli.cluster import Node, Swarm

RESOURCE_METRICS = """\
# HELP pod_memory_working_set_bytes [STABLE] Current working set of the pod in bytes
container_memory_working_set_bytes{container="trainer",namespace="default",pod="first-light-0-head-0"} 7 1795567981879
pod_memory_working_set_bytes{namespace="default",pod="first-light-0-head-0"} 1.0412032e+07 1795567972601
pod_memory_working_set_bytes{namespace="kubeswarm-system",pod="kubeswarm-nats-0"} 2048 1795567972601
"""


def swarm(round: int, fault: str | None = None) -> Swarm:
    degraded: dict[str, Any] = {
        "type": "Degraded", "status": "True", "reason": "CrashLoop", "message": fault,
        "lastTransitionTime": "2026-01-01T00:10:00Z",
    }  # fmt: skip
    metadata = {"namespace": "default", "uid": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}
    node = {
        "metadata": metadata | {"name": "first-light-0"},
        "spec": {"swarm": {"name": "first-light"}, "rounds": 24},
        "status": {"round": round, "conditions": [degraded] if fault else []},
    }
    item = {"metadata": metadata | {"name": "first-light"}, "spec": {"nodes": 1, "rounds": 24}}
    return Swarm.parse(item, [Node.parse(node)])


def test_memory_is_read_by_pod() -> None:
    assert memory.parse(RESOURCE_METRICS) == {
        ("default", "first-light-0-head-0"): 10_412_032,
        ("kubeswarm-system", "kubeswarm-nats-0"): 2048,
    }


def test_a_fault_that_passes_is_waited_for() -> None:
    states = [(0.0, swarm(0)), (10.0, swarm(0, "no image")), (40.0, swarm(0)), (400.0, swarm(0)), (800.0, swarm(1))]
    assert list(impatient(iter(states), patience=100)) == states


def test_rounds_that_go_on_are_no_reason_to_give_up() -> None:
    states = [(float(at), swarm(at // 50, "one of many")) for at in range(0, 1000, 50)]
    assert list(impatient(iter(states), patience=100)) == states


def test_a_fault_that_stays_ends_the_demo() -> None:
    states = [(float(at), swarm(3, "pod x has no image")) for at in range(0, 1000, 50)]
    with pytest.raises(Problem, match=r"nothing moved for 100 s:\n.*pod x has no image"):
        list(impatient(iter(states), patience=100))


def test_an_earlier_report_counts_for_the_same_swarm_only(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    assert report.earlier("1", path).peak_memory == {}
    found = {
        "swarm": {"uid": "1"},
        "peakMemoryBytes": {"pod": 5},
        "trainingRun": {"train": 300.0},
        "dashboard": {"queries": 2, "empty": ["Now: Round"]},
    }
    report.write(found, path)
    panels = report.Panels(2, ("Now: Round",))
    assert report.earlier("1", path) == report.Earlier({"pod": 5}, {"train": 300.0}, panels)
    assert report.earlier("2", path) == report.Earlier()
    path.write_text("{", encoding="utf-8")
    assert report.earlier("1", path) == report.Earlier()


def test_stages_keep_their_seconds_and_the_one_that_failed() -> None:
    stages = Stages()
    with stages.stage("cluster", "start"):
        pass
    with pytest.raises(Problem), stages.stage("chart", "install"):
        raise Problem("no")
    assert list(stages.seconds) == ["cluster", "chart"]
    assert stages.failed == "chart"
