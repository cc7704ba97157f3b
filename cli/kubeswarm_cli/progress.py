"""How far a Swarm is: one line a change, or a table that is redrawn."""

from collections.abc import Callable, Iterator
from time import monotonic, sleep

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from kubeswarm_api.conditions import ConditionType
from kubeswarm_cli.cluster import Node, Swarm, find_condition
from kubeswarm_cli.errors import CommandError
from kubeswarm_cli.tables import nodes_table

POLL_SECONDS = 2.0
#: A cluster that gives no answer for so long is given up.
PATIENCE_SECONDS = 60.0


def clock(seconds: float) -> str:
    """Minutes and seconds, as 12:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _node_part(node: Node) -> str:
    status = node.status
    parts = [f"{node.name} {status.round}/{node.rounds}"]
    if node.complete:
        return f"{parts[0]} complete"
    if status.reward is not None:
        parts.append(f"reward {status.reward}")
    if status.held_out is not None and status.held_out.latest is not None:
        parts.append(f"held-out {status.held_out.latest} (round {status.held_out.round})")
    condition = find_condition(status.conditions, ConditionType.READY)
    if condition is not None and condition.status != "True":
        parts.append(condition.reason)
    return " ".join(parts)


def line(swarm: Swarm) -> str:
    """One line that says all that changes as a Swarm goes on."""
    condition = swarm.condition(ConditionType.READY)
    parts = [condition.reason if condition is not None else "not seen yet"]
    parts += [_node_part(node) for node in swarm.nodes]
    parts.append(f"tokens {sum(node.status.tokens for node in swarm.nodes):,}")
    parts.append(f"taken {sum(node.status.groups_taken for node in swarm.nodes)}")
    parts.append(f"attested {sum(node.status.attested_rounds for node in swarm.nodes)}")
    return " | ".join(parts)


def problems(swarm: Swarm) -> list[str]:
    """What stands in the way now, as the conditions tell it."""
    objects = [(f"swarm/{swarm.name}", swarm.status.conditions)]
    objects += [(f"node/{node.name}", node.status.conditions) for node in swarm.nodes]
    degraded = [(name, find_condition(conditions, ConditionType.DEGRADED)) for name, conditions in objects]
    return [f"{name}: {it.reason}: {it.message}" for name, it in degraded if it is not None and it.status == "True"]


def follow(
    read: Callable[[], Swarm],
    timeout: float | None = None,
    done: Callable[[Swarm], bool] = lambda swarm: swarm.complete,
    patience: float = PATIENCE_SECONDS,
) -> Iterator[tuple[float, Swarm]]:
    """Yields (seconds since the start, Swarm) every POLL_SECONDS until the Swarm is `done`, that last state included.

    Raises CommandError at the timeout, or when `read` gave no answer for `patience` seconds.
    """
    started = answered = monotonic()
    while True:
        try:
            swarm = read()
            answered = monotonic()
        except CommandError:
            if monotonic() - answered > patience or answered == started:
                raise
        else:
            yield monotonic() - started, swarm
            if done(swarm):
                return
        if timeout is not None and monotonic() - started > timeout:
            raise CommandError(f"not complete after {timeout:.0f} s: `kubeswarm status` tells the reasons")
        sleep(POLL_SECONDS)


def watch(console: Console, states: Iterator[tuple[float, Swarm]]) -> None:
    """Shows the states until they end: redrawn on a terminal, else one plain line a change."""
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            for seconds, swarm in states:
                troubles = [Text(problem, style="red") for problem in problems(swarm)]
                head = Text(f"{clock(seconds)}  swarm/{swarm.name}  {line(swarm)}")
                live.update(Group(head, nodes_table(list(swarm.nodes)), *troubles), refresh=True)
        return
    last: list[str] = []
    for seconds, swarm in states:
        lines = [line(swarm), *problems(swarm)]
        for text in (text for text in lines if text not in last):
            console.print(f"{clock(seconds):>6}  {text}", markup=False, highlight=False, soft_wrap=True)
        last = lines
