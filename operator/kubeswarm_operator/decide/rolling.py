"""Whether pods of an older template are still to be replaced."""

from kubeswarm_operator.observe.snapshot import NodeSnapshot


def rolling(snapshot: NodeSnapshot) -> bool:
    """From what the StatefulSet and the Deployment say of themselves."""
    for (kind, _), live in snapshot.children.items():
        status, wanted = live.get("status", {}), live.get("spec", {}).get("replicas", 0)
        stale = status.get("observedGeneration", 0) < live["metadata"].get("generation", 0)
        existing = status.get("replicas", 0) if kind in ("StatefulSet", "Deployment") and wanted else 0
        if existing and (stale or status.get("updatedReplicas", 0) < min(wanted, existing)):
            return True
    return False
