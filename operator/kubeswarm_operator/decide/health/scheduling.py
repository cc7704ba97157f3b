"""Pods that no machine fits, or that are kept from being offered one."""

from collections.abc import Iterator
from datetime import timedelta

from kubeswarm_api.conditions import Reason
from kubeswarm_operator.decide.health.problem import QUOTED, Problem, name_of, older, problem
from kubeswarm_operator.decide.health.references import named_in
from kubeswarm_operator.decide.queueing import held
from kubeswarm_operator.observe.snapshot import NodeSnapshot
from kubeswarm_operator.resources import Object

#: A pod that isn't scheduled yet is no problem before this.
SCHEDULING_GRACE = timedelta(seconds=10)


def unschedulable(snapshot: NodeSnapshot) -> Iterator[Problem]:
    """The scheduler's own words say what is missing. Who is in a queue is there to wait."""
    queued = snapshot.spec is not None and snapshot.spec.queue is not None
    for pod in snapshot.pods:
        if queued and held(pod):
            continue
        for condition in pod.get("status", {}).get("conditions") or []:
            failed = condition["type"] == "PodScheduled" and condition["status"] == "False"
            if not failed or not older(snapshot.now, pod, SCHEDULING_GRACE):
                continue
            if condition.get("reason") == "Unschedulable":
                yield _unscheduled(name_of(pod), condition.get("message", "no node fits")[:QUOTED])
            elif condition.get("reason") == "SchedulingGated":
                yield _gated(pod)


def _gated(pod: Object) -> Problem:
    gates = ", ".join(gate["name"] for gate in pod["spec"].get("schedulingGates") or [])
    return problem(Reason.SCHEDULING_GATED, f"pod {name_of(pod)} is held back by {gates}"[:QUOTED])


def _unscheduled(pod: str, message: str) -> Problem:
    absent = named_in(message)
    if absent is not None:
        return problem(absent, f"pod {pod} can't be scheduled: {message}")
    if "PersistentVolumeClaim" in message:
        return problem(Reason.CLAIM_PENDING, f"pod {pod} waits for its volume: {message}")
    return problem(Reason.UNSCHEDULABLE, f"pod {pod} can't be scheduled: {message}")
