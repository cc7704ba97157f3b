"""What no watch tells: asked for only while a Node isn't as it should be."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from kubeswarm_api.names import HEAD, NODE_LABEL, ROLE_LABEL, claim_name, head_name
from kubeswarm_api.node import NodeSpec
from kubeswarm_operator.kube import Kube
from kubeswarm_operator.observe.snapshot import NodeSnapshot, container_statuses
from kubeswarm_operator.observe.store import Store
from kubeswarm_operator.resources import CLAIMS, EVENTS, PODS, SECRETS, STATEFUL_SETS, Object

#: Events older than this are history.
RECENT = timedelta(minutes=10)
#: A pod that is being created, or is to be, is asked about only after this.
CREATION_GRACE = timedelta(seconds=10)
_CREATING = frozenset(("ContainerCreating", "PodInitializing"))


async def missing_references(kube: Kube, namespace: str, spec: NodeSpec) -> tuple[tuple[str, str], ...]:
    """What the spec refers to by name and the namespace lacks, as (kind, name)."""
    missing: list[tuple[str, str]] = []
    if spec.model.claim and await kube.get(CLAIMS, namespace, spec.model.claim) is None:
        missing.append((CLAIMS.kind, spec.model.claim))
    if spec.swarm.join and await kube.get(SECRETS, namespace, spec.swarm.join.credentials) is None:
        missing.append((SECRETS.kind, spec.swarm.join.credentials))
    return tuple(missing)


async def afresh(kube: Kube, snapshot: NodeSnapshot) -> NodeSnapshot:
    """The snapshot with the head pod and the claim as the API server has them now."""
    namespace, name = snapshot.live["metadata"]["namespace"], snapshot.live["metadata"]["name"]
    selector = f"{NODE_LABEL}={name},{ROLE_LABEL}={HEAD}"
    pods = await kube.list_all(PODS, namespace, labelSelector=selector)
    claim = await kube.get(CLAIMS, namespace, claim_name(name))
    children = {key: child for key, child in snapshot.children.items() if key[0] != CLAIMS.kind}
    if claim is not None:
        children[CLAIMS.kind, claim_name(name)] = claim
    return replace(snapshot, pods=tuple(pods), children=children)


async def refusals(kube: Kube, store: Store, namespace: str, node: str, now: datetime) -> tuple[str, ...]:
    """Why the head's pod could not be made: a StatefulSet says so in Events alone."""
    live = store.get(STATEFUL_SETS, namespace, head_name(node))
    if live is None or now - datetime.fromisoformat(live["metadata"]["creationTimestamp"]) < CREATION_GRACE:
        return ()
    message = await _latest(kube, live, "reason=FailedCreate", now)
    return (message,) if message else ()


async def stuck(kube: Kube, pods: Iterable[Object], now: datetime) -> tuple[tuple[str, str], ...]:
    """Why pods that are on a machine don't get started, such as a volume that can't be mounted: (pod, message)."""
    found: list[tuple[str, str]] = []
    for pod in pods:
        if _being_created(pod, now):
            message = await _latest(kube, pod, "type=Warning", now)
            if message:
                found.append((pod["metadata"]["name"], message))
    return tuple(found)


def _being_created(pod: Object, now: datetime) -> bool:
    status = pod.get("status", {})
    waiting = [((each.get("state") or {}).get("waiting") or {}).get("reason") for each in container_statuses(status)]
    created = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    return bool(waiting) and set(waiting) <= _CREATING and now - created > CREATION_GRACE


async def _latest(kube: Kube, body: Object, selector: str, now: datetime) -> str:
    """The message of the latest recent Event of an object; empty if there is none."""
    meta = body["metadata"]
    field = f"involvedObject.uid={meta['uid']},{selector}"
    events = await kube.list_all(EVENTS, meta["namespace"], fieldSelector=field)
    seen = [(_time(event), event.get("message", "")) for event in events]
    recent = [(at, message) for at, message in seen if now - at < RECENT]
    return max(recent)[1] if recent else ""


def _time(event: Object) -> datetime:
    text = event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp")
    return datetime.fromisoformat(text) if text else datetime.fromtimestamp(0, UTC)
