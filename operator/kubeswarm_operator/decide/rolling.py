"""What StatefulSets and Deployments say of themselves; other objects have no pods."""

from collections.abc import Iterable

from kubeswarm_operator.resources import DEPLOYMENTS, STATEFUL_SETS, Object

_WORKLOADS = (STATEFUL_SETS.kind, DEPLOYMENTS.kind)


def behind(live: Object) -> bool:
    """Whether its controller has not acted on its latest spec: its pods are those of the one before, or about to go."""
    seen = live.get("status", {}).get("observedGeneration", 0)
    return live["kind"] in _WORKLOADS and seen < live["metadata"].get("generation", 0)


def rolling(workloads: Iterable[Object]) -> bool:
    """Whether pods of an older template are still to be replaced."""
    for live in workloads:
        status, wanted = live.get("status", {}), live.get("spec", {}).get("replicas", 0)
        existing = status.get("replicas", 0) if live["kind"] in _WORKLOADS and wanted else 0
        if existing and (behind(live) or status.get("updatedReplicas", 0) < min(wanted, existing)):
            return True
    return False
