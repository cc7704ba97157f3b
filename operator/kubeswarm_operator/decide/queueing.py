"""What a queue of Kueue has let in of a Node's pods."""

from dataclasses import dataclass

from kubeswarm_api.names import HEAD, ROLE_LABEL, ROLLOUT, rollout_name
from kubeswarm_api.node import NodeSpec
from kubeswarm_operator.observe.snapshot import NodeSnapshot
from kubeswarm_operator.resources import Object

#: The scheduling gate by which Kueue holds a pod back until there is quota for it.
GATE = "kueue.x-k8s.io/admission"


@dataclass(frozen=True)
class Admission:
    """Whether the head has quota, with the rollout pods that it begins with, and how many rollout pods have."""

    head: bool
    rollout: int


def gang(spec: NodeSpec) -> int:
    """How many rollout pods the head begins with; 0 without a queue."""
    return min(spec.queue.min_workers, spec.rollout.workers) if spec.queue else 0


def held(pod: Object) -> bool:
    """Whether a pod waits in its queue."""
    return any(gate["name"] == GATE for gate in (pod.get("spec") or {}).get("schedulingGates") or [])


def waits(snapshot: NodeSnapshot) -> bool:
    """Whether the Node's head waits in its queue."""
    return snapshot.spec is not None and snapshot.spec.queue is not None and any(map(held, _present(snapshot, HEAD)))


def admission(snapshot: NodeSnapshot) -> Admission | None:
    """None where there is no queue.

    While a head is replaced there is none for a moment: it keeps its quota, and the other rollout pods theirs.
    """
    if snapshot.spec is None or snapshot.spec.queue is None:
        return None
    heads = _present(snapshot, HEAD)
    others = snapshot.children.get(("Deployment", rollout_name(snapshot.live["metadata"]["name"])))
    let_in = not any(map(held, heads)) if heads else others is not None and bool(others["spec"].get("replicas"))
    return Admission(let_in, sum(not held(pod) for pod in _present(snapshot, ROLLOUT)))


def _present(snapshot: NodeSnapshot, role: str) -> list[Object]:
    return [
        pod
        for pod in snapshot.pods
        if pod["metadata"]["labels"].get(ROLE_LABEL) == role and "deletionTimestamp" not in pod["metadata"]
    ]
