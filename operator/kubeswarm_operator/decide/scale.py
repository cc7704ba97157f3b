"""How many rollout pods a Swarm's Node should have: what the spec says, or an autoscaler within the spec's bounds."""

from kubeswarm_api.spec_training import Rollout
from kubeswarm_operator.resources import Object


def workers(rollout: Rollout, live: Object | None) -> int:
    """`live`: the Node as it is, of which the autoscaler has set the scale."""
    if rollout.max_workers is None or live is None:
        return rollout.workers
    scaled = ((live.get("spec") or {}).get("rollout") or {}).get("workers", rollout.workers)
    return min(max(scaled, rollout.workers), rollout.max_workers)
