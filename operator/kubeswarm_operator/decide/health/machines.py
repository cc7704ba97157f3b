"""Pods whose machine is gone."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from kubeswarm_api.conditions import Reason
from kubeswarm_operator.decide.health.problem import Problem, name_of, problem
from kubeswarm_operator.observe.snapshot import NodeSnapshot
from kubeswarm_operator.resources import Object

#: A pod that should have ended for so long (deletionTimestamp is when its grace period is over) sits on a lost machine.
ENDING_GRACE = timedelta(seconds=20)
#: What a kubelet may take to say a first word of a pod that was given to it.
BEGINNING_GRACE = timedelta(seconds=20)


def lost(snapshot: NodeSnapshot) -> Iterator[Problem]:
    """Not ready by the control plane's word while the kubelet's last word was ready, not ending, or never begun."""
    for pod in snapshot.pods:
        node = pod.get("spec", {}).get("nodeName") or "unknown"
        conditions = pod.get("status", {}).get("conditions") or []
        states = {each["type"]: each["status"] for each in conditions}
        gated = any(each.get("reason") == "ReadinessGatesNotReady" for each in conditions)
        silent = states.get("Ready") == "False" and states.get("ContainersReady") == "True" and not gated
        going = pod["metadata"].get("deletionTimestamp")
        overdue = going is not None and snapshot.now - datetime.fromisoformat(going) > ENDING_GRACE
        silent = silent or _not_begun(snapshot.now, pod, conditions)
        if (silent and going is None) or overdue:
            yield problem(
                Reason.NODE_LOST,
                f"machine {node} of pod {name_of(pod)} does not answer",
                f"see `kubectl get node {node}`; the pod is replaced once the machine is back or gone: "
                f"`kubectl delete node {node}` says that it is gone for good",
            )


def _not_begun(now: datetime, pod: Object, conditions: list[Object]) -> bool:
    """Whether a pod has a machine whose kubelet has said nothing of its containers for too long."""
    status = pod.get("status", {})
    if status.get("containerStatuses") or status.get("initContainerStatuses"):
        return False
    scheduled = [
        datetime.fromisoformat(each["lastTransitionTime"])
        for each in conditions
        if each["type"] == "PodScheduled" and each["status"] == "True" and each.get("lastTransitionTime")
    ]
    return any(now - at > BEGINNING_GRACE for at in scheduled)
