"""`kubectl swarm describe`: one Swarm or Node whole, and what to do next."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from kubeswarm_api.conditions import Condition, ConditionType, Reason
from kubeswarm_api.failures import FAILURES
from kubeswarm_cli import tables
from kubeswarm_cli.cluster import Cluster, Node, Swarm
from kubeswarm_cli.errors import CommandError
from kubeswarm_cli.happenings import Event, Pod

EVENTS = 20
#: The status in which a condition says that something is wrong.
_WRONG: dict[str, str] = {
    ConditionType.FAILED: "True",
    ConditionType.DEGRADED: "True",
    ConditionType.READY: "False",
    ConditionType.PROGRESSING: "False",
    ConditionType.CHAIN_SYNCED: "False",
    ConditionType.EXCHANGE_READY: "False",
}


def describe(cluster: Cluster, name: str) -> Iterator[RenderableType]:
    """What there is to print of the Swarm, or the Node, of this name. Raises CommandError if there is neither."""
    swarm, nodes = _find(cluster, name)
    if swarm is not None:
        conditions = swarm.conditions
        yield tables.swarms_table([swarm])
    else:
        conditions = [(f"node/{node.name}", node.status.conditions) for node in nodes]
    yield tables.nodes_table(nodes)
    yield tables.conditions_table(conditions)
    names = [node.name for node in nodes]
    yield _pods(pod for node in names for pod in cluster.pods(node))
    yield _events(event for event in cluster.events() if event.is_about(name, names))
    yield from next_steps(conditions)


def _find(cluster: Cluster, name: str) -> tuple[Swarm | None, list[Node]]:
    swarms = {swarm.name: swarm for swarm in cluster.swarms()}
    if name in swarms:
        return swarms[name], list(swarms[name].nodes)
    nodes = {node.name: node for node in cluster.nodes()}
    if name not in nodes:
        there = ", ".join(sorted([*swarms, *nodes])[:20]) or "none"
        raise CommandError(f"no Swarm or Node {name} in namespace {cluster.namespace}: there is {there}")
    return None, [nodes[name]]


def next_steps(conditions: Iterable[tuple[str, list[Condition]]]) -> Iterator[str]:
    """Each thing that is wrong once, by the object that says it first."""
    seen: set[str] = set()
    for about, held in conditions:
        for condition in held:
            wrong = _WRONG.get(condition.type) == condition.status and condition.reason in FAILURES
            if wrong and condition.reason not in seen:
                seen.add(condition.reason)
                failure = FAILURES[Reason(condition.reason)]
                said = escape(condition.message or failure.meaning)
                yield f"[bold]{condition.reason}[/] ({about}): {said}"
                yield f"  what it means: {failure.meaning}\n  next: {failure.remedy}"
    if not seen:
        yield "Nothing is known to be wrong."


def _pods(pods: Iterable[Pod]) -> Table:
    table = tables.table("Pods", "name", "phase", "ready", "restarts", "machine", "containers")
    for pod in pods:
        table.add_row(pod.name, pod.phase, pod.ready, str(pod.restarts), pod.machine, escape(pod.doing))
    return table


def _events(events: Iterable[Event]) -> Table:
    table = tables.table("Last Events", "age", "type", "reason", "object", "times", "message")
    now = datetime.now(UTC)
    for event in sorted(events, key=lambda event: event.at)[-EVENTS:]:
        age = f"{max(0, int((now - event.at).total_seconds()))} s"
        table.add_row(age, event.type, event.reason, event.about, str(event.count), escape(event.message[:400]))
    return table
