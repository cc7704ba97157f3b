"""How many pods a Node should have now."""

from dataclasses import dataclass

from kubeswarm_api.node import NodeSpec


@dataclass(frozen=True)
class Replicas:
    """Pods wanted."""

    head: int
    rollout: int


def replicas(spec: NodeSpec, finished: bool) -> Replicas:
    """None while suspended, and none when it is complete or has failed: memory and accelerators are free again."""
    if spec.suspend or finished:
        return Replicas(0, 0)
    return Replicas(1, spec.rollout.workers)
