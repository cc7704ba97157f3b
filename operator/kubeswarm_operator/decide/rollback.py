"""Whether a change of a Node's pods has failed, and what the Node then goes back to."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from kubeswarm_api.conditions import ConditionType
from kubeswarm_api.encoding import canonical_json, digest
from kubeswarm_api.names import HEAD, ROLE_LABEL
from kubeswarm_api.node import Change, NodeStatus
from kubeswarm_api.spec_life import Update
from kubeswarm_operator.decide.children import TEMPLATE_ANNOTATION, controls, stamped
from kubeswarm_operator.decide.turns import ready_for
from kubeswarm_operator.observe.snapshot import NodeSnapshot
from kubeswarm_operator.resources import Object

#: What makes a revision of a Node: the pods, and what they read. A Node that waits for its turn keeps it as it is.
KEPT = ("ConfigMap", "StatefulSet", "Deployment")
_WHY = 600


def revision_of(objects: Iterable[Object]) -> str:
    """One digest over the pod templates of manifests or of live objects; empty: there are none."""
    marks = {
        f"{each['kind']}/{each['metadata']['name']}": (each["metadata"].get("annotations") or {}).get(
            TEMPLATE_ANNOTATION, ""
        )
        for each in objects
        if each["kind"] in ("StatefulSet", "Deployment")
    }
    return digest(canonical_json(marks)).hex()[:32] if marks else ""


def begun(wanted: str, runs: bool, now: datetime) -> Change:
    """A change that goes on trial: now, or as soon as pods are wanted."""
    return Change(revision=wanted, since=_stamp(now) if runs else "")


def on_trial(change: Change | None) -> bool:
    """Whether a change has begun and nothing is decided of it."""
    return change is not None and bool(change.since) and not change.failed


def judged(
    status: NodeStatus, wanted: str, update: Update | None, runs: bool, now: datetime, broken: str = ""
) -> Change | None:
    """The change that `status` tells of, as it is to be seen now; None: nothing is on trial.

    `wanted`: the revision that spec and images ask for; `runs`: whether pods are wanted at all; `broken`: what ends
    the trial before its time. One that has failed stays so for as long as it is what is wanted.
    """
    change = status.change
    if change is None or change.revision != wanted or update is None or not update.rollback:
        return None
    if status.revision == wanted:  # the Node was ready with it
        return None
    if change.failed or update.paused:
        return change
    if not (runs and change.since):
        return begun(wanted, runs, now)
    if broken:
        return change.model_copy(update={"failed": broken[:_WHY]})
    if now - datetime.fromisoformat(change.since) < timedelta(seconds=update.progress_deadline_seconds):
        return change
    why = f"not ready within {update.progress_deadline_seconds} s: {_trouble(status)}"
    return change.model_copy(update={"failed": why[:_WHY]})


def proven(snapshot: NodeSnapshot, update: Update | None, change: Change | None, ready: bool) -> str | None:
    """The revision with which the Node was ready last. `ready`: it is now, and no pod of another revision is there.

    A change that is on trial must have been ready for as long as the next Node waits.
    """
    known = snapshot.status.revision
    if not ready:
        return known
    if change is not None and not change.failed and update is not None:
        settle = timedelta(seconds=update.min_ready_seconds)
        heads = (pod for pod in snapshot.pods if pod["metadata"]["labels"].get(ROLE_LABEL) == HEAD)
        if not any(ready_for(pod, settle, snapshot.now) for pod in heads):
            return known
    return revision_of(snapshot.children.values()) or known


def worth_keeping(children: Mapping[tuple[str, str], Object], owner_uid: str) -> list[Object]:
    """What a Node's live objects must be to be made anew: without what only the API server says of them."""
    out: list[Object] = []
    for live in children.values():
        if live["kind"] in KEPT and controls(owner_uid, live):
            meta = {key: live["metadata"].get(key) for key in ("namespace", "name", "labels", "ownerReferences")}
            mark = (live["metadata"].get("annotations") or {}).get(TEMPLATE_ANNOTATION)
            meta["annotations"] = {TEMPLATE_ANNOTATION: mark} if mark else {}
            content = {key: live[key] for key in ("spec", "data") if key in live}
            out.append({"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": meta, **content})
    return out


def restored(manifests: Iterable[Object], earlier: Iterable[Object], runs: bool) -> list[Object]:
    """The manifests with the pods, and what they read, as they were kept; how many there are stays as it is wanted."""
    wanted = list(manifests)
    counts = {(each["kind"], each["metadata"]["name"]): each["spec"]["replicas"] for each in wanted if _counted(each)}
    out = [each for each in wanted if each["kind"] not in KEPT]
    for each in earlier:
        body = each
        if _counted(each):
            known = each["spec"]["replicas"] if runs else 0
            count = counts.get((each["kind"], each["metadata"]["name"]), known)
            body = {**each, "spec": {**each["spec"], "replicas": count}}
        out.append(stamped(body, each["metadata"]["annotations"].get(TEMPLATE_ANNOTATION)))
    return out


def _counted(body: Object) -> bool:
    return "replicas" in (body.get("spec") or {})


def _stamp(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _trouble(status: NodeStatus) -> str:
    """What the Node said last of why it isn't ready."""
    told = {condition.type: condition for condition in status.conditions}
    degraded, ready = told.get(ConditionType.DEGRADED), told.get(ConditionType.READY)
    if degraded is not None and degraded.status == "True":
        return degraded.message
    return ready.message if ready is not None else "it said nothing"
