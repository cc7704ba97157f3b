"""How many pods a Node should have now."""

from dataclasses import dataclass

from kubeswarm_api.node import NodeSpec
from kubeswarm_operator.decide.queueing import Admission, gang


@dataclass(frozen=True)
class Replicas:
    """Pods wanted. `ready`: the rollout pods that training needs, which are those that a queue has let in."""

    head: int
    rollout: int
    ready: int


def replicas(spec: NodeSpec, finished: bool, admission: Admission | None) -> Replicas:
    """None while suspended, and none when it is complete or has failed: memory and accelerators are free again.

    In a queue the head and the rollout pods that it begins with come first: alone the others would be of no use.
    """
    if spec.suspend or finished:
        return Replicas(0, 0, 0)
    workers = spec.rollout.workers
    if admission is None:
        return Replicas(1, workers, workers)
    least = gang(spec)
    if not admission.head:
        return Replicas(1, least, least)
    return Replicas(1, workers, min(max(admission.rollout, least), workers))
