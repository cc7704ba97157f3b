"""Claims without a volume."""

from collections.abc import Iterator
from datetime import timedelta

from kubeswarm_api.conditions import Reason
from kubeswarm_api.names import HEAD, ROLE_LABEL
from kubeswarm_operator.decide.health.problem import Problem, name_of, older, problem
from kubeswarm_operator.observe.snapshot import NodeSnapshot
from kubeswarm_operator.resources import Object

#: A claim that isn't bound yet is no problem before this.
BINDING_GRACE = timedelta(seconds=15)


def claims(snapshot: NodeSnapshot) -> Iterator[Problem]:
    """The Node's own claim. Before its pod has a machine it waits for that, or the scheduler says why it has none."""
    wanted = snapshot.spec is None or not snapshot.spec.suspend
    placed = next((name_of(pod) for pod in snapshot.pods if is_placed_head(pod)), None)
    for (kind, name), live in snapshot.children.items():
        if kind != "PersistentVolumeClaim" or not older(snapshot.now, live, BINDING_GRACE):
            continue
        phase = live.get("status", {}).get("phase")
        if phase == "Lost":
            yield problem(Reason.CLAIM_LOST, f"claim {name} lost its volume")
        elif phase == "Pending" and wanted and placed:
            yield problem(Reason.CLAIM_PENDING, _unbound(name, live, placed))


def is_placed_head(pod: Object) -> bool:
    """Whether it is a head's pod that a scheduler gave a machine."""
    return (pod["metadata"].get("labels") or {}).get(ROLE_LABEL) == HEAD and bool(pod.get("spec", {}).get("nodeName"))


def _unbound(name: str, claim: Object, pod: str) -> str:
    """It was scheduled with the claim that was there before: where a volume waits for its pod's machine, none comes."""
    storage_class = claim.get("spec", {}).get("storageClassName") or "the cluster's default"
    return (
        f"claim {name} is not bound (storage class: {storage_class}); "
        f"pod {pod} got its machine with a claim that is gone, and is made anew"
    )
