"""Pods that no machine fits."""

from collections.abc import Iterator
from datetime import timedelta

from kubeswarm_api.conditions import Reason
from kubeswarm_operator.decide.health.problem import QUOTED, Problem, name_of, older, problem
from kubeswarm_operator.decide.health.references import named_in
from kubeswarm_operator.observe.snapshot import NodeSnapshot

#: A pod that isn't scheduled yet is no problem before this.
SCHEDULING_GRACE = timedelta(seconds=10)


def unschedulable(snapshot: NodeSnapshot) -> Iterator[Problem]:
    """The scheduler's own words say what is missing."""
    for pod in snapshot.pods:
        for condition in pod.get("status", {}).get("conditions") or []:
            failed = condition["type"] == "PodScheduled" and condition["status"] == "False"
            if failed and condition.get("reason") == "Unschedulable" and older(snapshot.now, pod, SCHEDULING_GRACE):
                yield _unscheduled(name_of(pod), condition.get("message", "no node fits")[:QUOTED])


def _unscheduled(pod: str, message: str) -> Problem:
    absent = named_in(message)
    if absent is not None:
        return problem(absent, f"pod {pod} can't be scheduled: {message}")
    if "PersistentVolumeClaim" in message:
        return problem(Reason.CLAIM_PENDING, f"pod {pod} waits for its volume: {message}")
    return problem(Reason.UNSCHEDULABLE, f"pod {pod} can't be scheduled: {message}")
