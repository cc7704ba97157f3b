"""Swarms, Nodes and attestations as tables for a person."""

from collections.abc import Iterable

from rich.markup import escape
from rich.table import Table

from kubeswarm_api.conditions import Condition, ConditionType
from kubeswarm_api.records import REWARD_SCALE
from kubeswarm_cli.cluster import Node, Swarm, find_condition
from kubeswarm_contracts.attestation import AttestationData
from kubeswarm_contracts.chain import AttestedRounds

COLOURS = {"True": "green", "False": "red", "Unknown": "yellow"}


def table(title: str, *columns: str) -> Table:
    """An empty one in the style of all."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def _ready(conditions: list[Condition]) -> str:
    condition = find_condition(conditions, ConditionType.READY)
    if condition is None:
        return "[yellow]not seen yet[/]"
    return f"[{COLOURS[condition.status]}]{condition.status}[/] {condition.reason}"


def _text(value: object) -> str:
    return "" if value is None else str(value)


def swarms_table(swarms: list[Swarm]) -> Table:
    """One row a Swarm."""
    rows = table(
        "Swarms", "namespace", "name", "ready", "nodes", "round", "reward", "held-out", "attested", "participants"
    )
    for swarm in swarms:
        status = swarm.status
        rows.add_row(
            swarm.namespace,
            swarm.name,
            _ready(status.conditions),
            f"{status.nodes}/{swarm.wanted_nodes}",
            f"{status.round}/{swarm.rounds}",
            _text(status.reward),
            _text(status.held_out_reward),
            str(status.attested_rounds),
            str(status.participants),
        )
    return rows


def nodes_table(nodes: list[Node]) -> Table:
    """One row a Node."""
    rows = table(
        "Nodes", "namespace", "name", "swarm", "ready", "round", "reward", "held-out", "exact", "tokens", "taken",
        "attested", "rollout pods",
    )  # fmt: skip
    for node in nodes:
        status, held_out = node.status, node.status.held_out
        rows.add_row(
            node.namespace,
            node.name,
            _text(node.swarm),
            _ready(status.conditions),
            f"{status.round}/{node.rounds}",
            _text(status.reward),
            f"{_text(held_out.before)} → {_text(held_out.latest)}" if held_out else "",
            f"{_text(held_out.exact_before)} → {_text(held_out.exact_latest)}" if held_out else "",
            f"{status.tokens:,}",
            str(status.groups_taken),
            str(status.attested_rounds),
            f"{status.ready_rollout_replicas}/{node.rollout_workers}",
        )
    return rows


def conditions_table(objects: Iterable[tuple[str, list[Condition]]]) -> Table:
    """One row a condition, by the object that has it."""
    rows = table("Conditions", "object", "type", "status", "reason", "message")
    for name, conditions in objects:
        for condition in conditions:
            rows.add_row(name, condition.type, condition.status, condition.reason, escape(condition.message))
    return rows


def attestations_table(attested: list[AttestedRounds], contents: list[AttestationData | None]) -> Table:
    """One row an attestation; what it says comes from EAS."""
    rows = table("Attestations", "rounds", "block", "gas", "samples", "tokens", "reward", "uid")
    for one, content in zip(attested, contents, strict=True):
        said = ["?"] * 3 if content is None else [
            str(content.samples), f"{content.tokens:,}", f"{content.reward / REWARD_SCALE:.4f}"
        ]  # fmt: skip
        rows.add_row(f"{one.first}..{one.last}", str(one.block), _text(one.gas_used), *said, one.uid)
    return rows
