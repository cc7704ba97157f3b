"""A head pod that has to go, because the claim that it got its machine with is gone, or is to go."""

from datetime import datetime, timedelta

from kubeswarm_api.names import claim_name
from kubeswarm_operator.decide.children import TEMPLATE_ANNOTATION, stamped
from kubeswarm_operator.decide.health.claims import BINDING_GRACE, is_placed_head
from kubeswarm_operator.decide.health.problem import name_of, older
from kubeswarm_operator.observe.snapshot import NodeSnapshot, container_statuses
from kubeswarm_operator.resources import Object

#: A pod may wait so long for its machine to begin with it.
HANGING_GRACE = timedelta(seconds=20)


def stranded(snapshot: NodeSnapshot) -> bool:
    """Whether the head pod has to be made anew, for another claim than the one that it got its machine with."""
    claim = snapshot.children.get(("PersistentVolumeClaim", claim_name(name_of(snapshot.live))))
    if claim is None:
        return False
    heads = [pod for pod in snapshot.pods if is_placed_head(pod)]
    if deleted := claim["metadata"].get("deletionTimestamp"):
        return any(_came_after(pod, deleted) for pod in heads)
    if not older(snapshot.now, claim, BINDING_GRACE) or _placed_by_hand(snapshot):
        return False
    unbound = claim.get("status", {}).get("phase") == "Pending" and not claim["spec"].get("volumeName")
    return unbound and any(_hangs(pod, snapshot.now) for pod in heads)


def without_head(manifest: Object) -> Object:
    """The manifest, of a StatefulSet with no pod: its controller then deletes the one that there is."""
    if manifest["kind"] != "StatefulSet":
        return manifest
    none = {**manifest, "spec": {**manifest["spec"], "replicas": 0}}
    return stamped(none, manifest["metadata"]["annotations"][TEMPLATE_ANNOTATION])


def _placed_by_hand(snapshot: NodeSnapshot) -> bool:
    """Whether the template names the machine: no scheduler then looks at the claim, of no pod."""
    heads = [child for child in snapshot.children.values() if child["kind"] == "StatefulSet"]
    return any(head["spec"]["template"]["spec"].get("nodeName") for head in heads)


def _came_after(pod: Object, deleted: str) -> bool:
    """A scheduler places no pod whose claim is to go. Where it had not heard of that yet, claim and pod would stay
    together until the pod ends by itself; one that was there before may end its work."""
    return datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) > datetime.fromisoformat(deleted)


def _hangs(pod: Object, now: datetime) -> bool:
    """A scheduler gives a pod its machine once its claim is bound. Where a pod has one and its claim has no volume, the
    scheduler had not heard yet that the claim of that name was another one; and where volumes wait for a pod to be
    scheduled, nobody chooses one any more. No container of such a pod has ever run."""
    if "deletionTimestamp" in pod["metadata"]:
        return False
    status = pod.get("status", {})
    placed = [
        datetime.fromisoformat(each["lastTransitionTime"])
        for each in status.get("conditions") or []
        if each["type"] == "PodScheduled" and each["status"] == "True" and each.get("lastTransitionTime")
    ]
    waits = status.get("phase") == "Pending" and not any(map(_began, container_statuses(status)))
    return waits and any(now - at > HANGING_GRACE for at in placed)


def _began(container: Object) -> bool:
    states = (container.get("state") or {}) | (container.get("lastState") or {})
    return bool(container.get("restartCount")) or not {"running", "terminated"}.isdisjoint(states)
