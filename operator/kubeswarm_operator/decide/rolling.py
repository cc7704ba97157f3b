"""Whether pods of an older template are still to be replaced."""

from collections.abc import Iterable

from kubeswarm_operator.resources import Object


def rolling(workloads: Iterable[Object]) -> bool:
    """From what StatefulSets and Deployments say of themselves; other objects have no pods."""
    for live in workloads:
        status, wanted = live.get("status", {}), live.get("spec", {}).get("replicas", 0)
        stale = status.get("observedGeneration", 0) < live["metadata"].get("generation", 0)
        existing = status.get("replicas", 0) if live["kind"] in ("StatefulSet", "Deployment") and wanted else 0
        if existing and (stale or status.get("updatedReplicas", 0) < min(wanted, existing)):
            return True
    return False
