"""Keeps the pods with which a Node was ready before a change of them, and finds them again."""

from kubeswarm_api.conditions import ConditionType
from kubeswarm_api.names import earlier_name
from kubeswarm_operator.build.meta import Owner
from kubeswarm_operator.build.revision import REVISION_ANNOTATION, controller_revision
from kubeswarm_operator.context import Context
from kubeswarm_operator.decide.conditions import holds
from kubeswarm_operator.decide.rollback import revision_of, worth_keeping
from kubeswarm_operator.decide.rolling import rolling
from kubeswarm_operator.observe.snapshot import NodeSnapshot
from kubeswarm_operator.resources import CONTROLLER_REVISIONS, Object


async def keep(context: Context, snapshot: NodeSnapshot, owner: Owner) -> bool:
    """Keeps what the Node was ready with last, before it is overwritten. Returns whether there is such a thing."""
    live = revision_of(snapshot.children.values())
    known = snapshot.status.revision or (live if _ready(snapshot) else None)
    if known is None:
        return False
    found = await context.kube.get(CONTROLLER_REVISIONS, owner.namespace, earlier_name(owner.name))
    if found is not None and _holds(found, known):
        return True
    if live != known:
        return False
    if found is not None:
        await context.kube.delete(CONTROLLER_REVISIONS, owner.namespace, earlier_name(owner.name), _uid(found))
    objects = worth_keeping(snapshot.children, owner.uid)
    await context.kube.create(controller_revision(owner, live, snapshot.live["metadata"]["generation"], objects))
    return True


async def earlier(context: Context, owner: Owner, revision: str | None) -> list[Object] | None:
    """The Node's objects of that revision; None: they were not kept."""
    if revision is None:
        return None
    if not context.earlier.has(owner.uid, revision):
        found = await context.kube.get(CONTROLLER_REVISIONS, owner.namespace, earlier_name(owner.name))
        if found is None or not _holds(found, revision):
            return None
        context.earlier.put(owner.uid, revision, found["data"]["objects"])
    return context.earlier.get(owner.uid, revision, list)


def _holds(found: Object, revision: str) -> bool:
    return (found["metadata"].get("annotations") or {}).get(REVISION_ANNOTATION) == revision


def _uid(found: Object) -> str:
    return found["metadata"]["uid"]


def _ready(snapshot: NodeSnapshot) -> bool:
    """Whether the Node is ready with the pods that it has."""
    return holds(ConditionType.READY, snapshot.status.conditions) and not rolling(snapshot.children.values())
