"""How many pods a Node should have now."""

from dataclasses import dataclass

from kubeswarm_api.node import NodeSpec
from kubeswarm_operator.decide.queueing import Admission, gang
from kubeswarm_operator.resources import Object

#: Rollout pods that are asked for at a time: the controllers make pods in the order in which they are asked for, and
#: whoever wants one while a neighbour wants a thousand would wait for all of these.
WAVE = 100


@dataclass(frozen=True)
class Replicas:
    """Pods to ask for now. `ready`: the rollout pods that training needs, which are those that a queue has let in."""

    head: int
    rollout: int
    ready: int


def replicas(spec: NodeSpec, finished: bool, admission: Admission | None, others: Object | None) -> Replicas:
    """None while suspended, and none when it is complete or has failed: memory and accelerators are free again.

    In a queue the head and the rollout pods that it begins with come first: alone the others would be of no use.
    `others`: the Deployment of all but these, as it is; it grows by WAVE once the pods that it asked for were made.
    """
    if spec.suspend or finished:
        return Replicas(0, 0, 0)
    workers, least = spec.rollout.workers, gang(spec)
    asked = min(workers, least + _grown(others))
    if admission is None:
        return Replicas(1, asked, workers)
    if not admission.head:
        return Replicas(1, least, least)
    return Replicas(1, asked, min(max(admission.rollout, least), workers))


def _grown(others: Object | None) -> int:
    """The most that the Deployment may ask for now: never less than it does."""
    if others is None:
        return WAVE
    asked, made = others["spec"].get("replicas", 0), (others.get("status") or {}).get("replicas", 0)
    return asked + WAVE if made >= asked else max(asked, WAVE)
