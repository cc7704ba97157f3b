"""What no watch tells: asked for only while a Node isn't as it should be."""

from datetime import UTC, datetime, timedelta

from kubeswarm_api.names import head_name
from kubeswarm_api.node import NodeSpec
from kubeswarm_operator.kube import Kube
from kubeswarm_operator.observe.store import Store
from kubeswarm_operator.resources import CLAIMS, EVENTS, SECRETS, STATEFUL_SETS

#: Refusals older than this are history.
RECENT = timedelta(minutes=10)


async def missing_references(kube: Kube, namespace: str, spec: NodeSpec) -> tuple[tuple[str, str], ...]:
    """What the spec refers to by name and the namespace lacks, as (kind, name)."""
    missing: list[tuple[str, str]] = []
    if spec.model.claim and await kube.get(CLAIMS, namespace, spec.model.claim) is None:
        missing.append((CLAIMS.kind, spec.model.claim))
    if spec.swarm.join and await kube.get(SECRETS, namespace, spec.swarm.join.credentials) is None:
        missing.append((SECRETS.kind, spec.swarm.join.credentials))
    return tuple(missing)


async def refusals(kube: Kube, store: Store, namespace: str, node: str, now: datetime) -> tuple[str, ...]:
    """Why the head's pod could not be made: a StatefulSet says so in Events alone."""
    live = store.get(STATEFUL_SETS, namespace, head_name(node))
    if live is None:
        return ()
    selector = f"involvedObject.uid={live['metadata']['uid']},reason=FailedCreate"
    events = await kube.list_all(EVENTS, namespace, fieldSelector=selector)
    seen = [(_time(event), event.get("message", "")) for event in events]
    recent = [(at, message) for at, message in seen if now - at < RECENT]
    return (max(recent)[1],) if recent else ()


def _time(event: dict[str, str]) -> datetime:
    text = event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp")
    return datetime.fromisoformat(text) if text else datetime.fromtimestamp(0, UTC)
