"""How many pods a Node should have now."""

from dataclasses import dataclass

from kubeswarm_api.node import NodeSpec


@dataclass(frozen=True)
class Replicas:
    """Pods wanted."""

    head: int
    rollout: int


def replicas(spec: NodeSpec, complete: bool) -> Replicas:
    """None while suspended, and none when all is done: memory and accelerators are free again; the rest stays."""
    if spec.suspend or complete:
        return Replicas(0, 0)
    return Replicas(1, spec.rollout.workers)
