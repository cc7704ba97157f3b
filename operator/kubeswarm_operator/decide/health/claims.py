"""Claims without a volume."""

from collections.abc import Iterator
from datetime import timedelta

from kubeswarm_api.conditions import Reason
from kubeswarm_api.names import HEAD, ROLE_LABEL
from kubeswarm_operator.decide.health.problem import Problem, older, problem
from kubeswarm_operator.observe.snapshot import NodeSnapshot
from kubeswarm_operator.resources import Object

#: A claim that isn't bound yet is no problem before this.
BINDING_GRACE = timedelta(seconds=15)


def claims(snapshot: NodeSnapshot) -> Iterator[Problem]:
    """The Node's own claim. What a pod waits for, its scheduler says better; a volume may wait for the first pod."""
    wanted = snapshot.spec is None or not snapshot.spec.suspend
    for (kind, name), live in snapshot.children.items():
        if kind != "PersistentVolumeClaim" or not older(snapshot.now, live, BINDING_GRACE):
            continue
        phase = live.get("status", {}).get("phase")
        if phase == "Lost":
            yield problem(Reason.CLAIM_LOST, f"claim {name} lost its volume")
        elif phase == "Pending" and wanted and not any(map(_waits_for_machine, snapshot.pods)):
            yield problem(Reason.CLAIM_PENDING, _unbound(name, live, snapshot.pods))


def _unbound(name: str, claim: Object, pods: tuple[Object, ...]) -> str:
    storage_class = claim.get("spec", {}).get("storageClassName") or "the cluster's default"
    text = f"claim {name} is not bound (storage class: {storage_class})"
    heads = [pod for pod in pods if pod["metadata"]["labels"].get(ROLE_LABEL) == HEAD]
    placed = [pod["metadata"]["name"] for pod in heads if pod.get("spec", {}).get("nodeName")]
    if placed:  # scheduled with the claim that was there before: where a volume waits for its pod's machine, none comes
        text += f"; pod {placed[0]} got its machine with a claim that is gone, and is made anew"
    return text


def _waits_for_machine(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(c["type"] == "PodScheduled" and c["status"] == "False" for c in conditions)
