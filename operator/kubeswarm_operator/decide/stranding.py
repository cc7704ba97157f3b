"""A head pod that can never run, because the claim that it got its machine with is gone."""

from datetime import datetime, timedelta

from kubeswarm_api.names import HEAD, ROLE_LABEL, claim_name
from kubeswarm_operator.decide.children import TEMPLATE_ANNOTATION, stamped
from kubeswarm_operator.decide.health.claims import BINDING_GRACE
from kubeswarm_operator.decide.health.problem import name_of, older
from kubeswarm_operator.observe.snapshot import NodeSnapshot
from kubeswarm_operator.resources import Object

#: A pod may wait so long for its machine to begin with it.
HANGING_GRACE = timedelta(seconds=20)


def stranded(snapshot: NodeSnapshot) -> bool:
    """Whether the head pod has to be made anew for the claim that there is now.

    A scheduler gives a pod its machine once its claim is bound. Where a pod has one and its claim has no volume, the
    scheduler had not heard yet that the claim of that name was another one; and where volumes wait for a pod to be
    scheduled, nobody chooses one any more. No container of such a pod has ever run.
    """
    claim = snapshot.children.get(("PersistentVolumeClaim", claim_name(name_of(snapshot.live))))
    if claim is None or "deletionTimestamp" in claim["metadata"] or not older(snapshot.now, claim, BINDING_GRACE):
        return False
    unbound = claim.get("status", {}).get("phase") == "Pending" and not claim["spec"].get("volumeName")
    return unbound and not _placed_by_hand(snapshot) and any(_hangs(pod, snapshot.now) for pod in snapshot.pods)


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


def _hangs(pod: Object, now: datetime) -> bool:
    if (pod["metadata"].get("labels") or {}).get(ROLE_LABEL) != HEAD or "deletionTimestamp" in pod["metadata"]:
        return False
    status = pod.get("status", {})
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    placed = [
        datetime.fromisoformat(each["lastTransitionTime"])
        for each in status.get("conditions") or []
        if each["type"] == "PodScheduled" and each["status"] == "True" and each.get("lastTransitionTime")
    ]
    waits = status.get("phase") == "Pending" and not any(map(_began, containers))
    return waits and bool(pod.get("spec", {}).get("nodeName")) and any(now - at > HANGING_GRACE for at in placed)


def _began(container: Object) -> bool:
    states = (container.get("state") or {}) | (container.get("lastState") or {})
    return bool(container.get("restartCount")) or not {"running", "terminated"}.isdisjoint(states)
