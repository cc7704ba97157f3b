"""What came out of a run, read from what its Nodes left on the disk: result.json, and a table."""

import json
from pathlib import Path
from typing import Literal

from pydantic import Field
from rich.table import Table

from kubeswarm_api import names
from kubeswarm_api.base import Model
from kubeswarm_api.records import REWARD_SCALE
from kubeswarm_api.reports import RoundReport, finished_rounds
from kubeswarm_api.swarm import SwarmSpec
from kubeswarm_cli.local import volume
from kubeswarm_cli.local.directory import RunDirectory, RunFile
from kubeswarm_cli.local.view import decimal


class HeldOutPoint(Model):
    """One measurement: means over the held-out items' completions."""

    round: int
    items: int
    reward: float
    exact: float | None = Field(description="Share answered right by a strict rule, where the environment has one.")
    reward_error: float = Field(default=0.0, description="Half the width of a 95 % interval over items.")
    exact_error: float = 0.0
    tasks: dict[str, dict[str, float | None]] = Field(
        default_factory=dict, description="The same of each task: items, reward, exact, reward_error, exact_error."
    )


class NodeOutcome(Model):
    """One Node."""

    name: str
    node_id: str
    rounds: int
    held_out: list[HeldOutPoint] = Field(description="The held-out curve; round 0 is before the first update.")
    rewards: list[float] = Field(description="Mean reward of the Node's own completions, round by round.")
    samples: int
    tokens: int
    groups_taken: int = Field(description="Groups of other Nodes that updates learnt from.")
    seconds: dict[str, float] = Field(description="By phase, all rounds together.")
    history: list[RoundReport] = Field(description="Round by round, all that was measured.")
    model: str | None = Field(description="Directory of the trained model, when all rounds are done.")
    model_digest: str | None = Field(description="Digest of the policy after the last round.")


class Outcome(Model):
    """A run: result.json."""

    format: Literal["kubeswarm.dev/run-result/1"] = "kubeswarm.dev/run-result/1"
    name: str
    uid: str
    complete: bool
    seconds: float = Field(description="Of this start of the run.")
    share: bool
    spec: SwarmSpec
    nodes: list[NodeOutcome]


def outcome(directory: RunDirectory, run: RunFile, seconds: float) -> Outcome:
    """Reads what the run has left so far."""
    nodes = [node_outcome(name, directory.data(name), run.spec.rounds) for name in run.nodes]
    return Outcome(
        name=run.name,
        uid=run.uid,
        complete=all(node.model is not None for node in nodes),
        seconds=round(seconds, 1),
        share=run.share,
        spec=run.spec,
        nodes=nodes,
    )


def node_outcome(name: str, data: Path, rounds: int) -> NodeOutcome:
    """One Node's, from its volume's directory."""
    records = volume.records(data)
    last = records[-1].round if records else 0
    lines = data / names.HISTORY
    history = finished_rounds(lines.read_bytes(), last) if lines.exists() else []
    seconds: dict[str, float] = {}
    for report in history:
        for phase, value in report.seconds.items():
            seconds[phase] = round(seconds.get(phase, 0.0) + value, 3)
    held_out = data / names.HELD_OUT
    points = json.loads(held_out.read_bytes()) if held_out.exists() else []
    model = data / names.TRAINED_MODEL
    return NodeOutcome(
        name=name,
        node_id=records[-1].node_id if records else "",
        rounds=last,
        held_out=[HeldOutPoint(**point) for point in points if point["round"] <= last],
        rewards=[record.reward / REWARD_SCALE for record in records],
        samples=sum(record.samples for record in records),
        tokens=sum(record.tokens for record in records),
        groups_taken=sum(report.taken for report in history),
        seconds=seconds,
        history=history,
        model=str(model) if last >= rounds and model.is_dir() else None,
        model_digest=records[-1].model_after if records else None,
    )


def table(result: Outcome) -> Table:
    """One row a Node."""
    made = Table(title=f"Run {result.name}", title_justify="left", box=None, pad_edge=False, header_style="bold")
    columns = "node", "rounds", "reward", "held-out", "exact", "tokens", "taken", "seconds"
    for column in columns:
        made.add_column(column, overflow="fold")
    for node in result.nodes:
        first, latest = (node.held_out[0], node.held_out[-1]) if node.held_out else (None, None)
        made.add_row(
            node.name,
            f"{node.rounds}/{result.spec.rounds}",
            decimal(node.rewards[-1]) if node.rewards else "",
            f"{decimal(first.reward)} → {decimal(latest.reward)}" if first and latest else "",
            f"{decimal(first.exact)} → {decimal(latest.exact)}" if first and latest else "",
            f"{node.tokens:,}",
            str(node.groups_taken),
            " ".join(f"{phase} {value:.0f}" for phase, value in node.seconds.items()),
        )
    return made
