"""`kubeswarm rollouts`: every stored completion, with its prompt, its reward and whose it is."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from kubeswarm_api.stored import StoredGroup
from kubeswarm_cli.errors import CommandError
from kubeswarm_cli.local.replay import ANYWHERE
from kubeswarm_cli.local.volume import Volume, find

#: Shown to people unless they ask for more; --json gives all.
SHOWN = 20


@dataclass(frozen=True)
class Rollout:
    """One completion in one update: `node` learnt from it in `round`."""

    node: str
    round: int
    origin: Literal["own", "foreign"]
    sampled_by: str
    sampled_in: int
    task: str
    item: int
    sample: int
    reward: float
    components: dict[str, float]
    truncated: bool
    tokens: int
    mean_logprob: float
    prompt: str
    completion: str


def rollouts(
    path: Annotated[Path, typer.Argument(help=ANYWHERE)],
    node: Annotated[str | None, typer.Option("--node", help="Of this Node.")] = None,
    round: Annotated[int | None, typer.Option("--round", help="In this round's update.", min=1)] = None,
    task: Annotated[str | None, typer.Option("--task", help="Of this task.")] = None,
    own: Annotated[bool | None, typer.Option("--own/--foreign", help="Sampled by the Node itself, or taken.")] = None,
    best: Annotated[bool, typer.Option("--best", help="Highest reward first.")] = False,
    worst: Annotated[bool, typer.Option("--worst", help="Lowest reward first.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", help=f"So many at most; {SHOWN}, or all with --json.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Browse what a run's updates learnt from: prompts, completions, rewards and their parts, and whose they are."""
    if best and worst:
        raise CommandError("--best and --worst exclude one another: give one of them")
    found = (
        each
        for each in read(find(path, node), round)
        if task in (None, each.task) and own in (None, each.origin == "own")
    )
    if best or worst:
        found = iter(sorted(found, key=lambda each: each.reward, reverse=best))
    shown = limit if limit is not None else None if as_json else SHOWN
    console, count = Console(), 0
    for each in islice(found, shown):
        count += 1
        if as_json:
            typer.echo(json.dumps(asdict(each), ensure_ascii=False))
        else:
            console.print(_panel(each))
    if count == 0:
        raise CommandError(f"no stored completion of {path} is like that: leave out an option")
    if not as_json and next(found, None) is not None:
        typer.echo(f"{count} are shown: --limit shows more, --json all", err=True)


def read(volumes: list[Volume], round: int | None = None) -> Iterator[Rollout]:
    """All stored completions of one round or of all, in the order in which they were learnt."""
    for volume in volumes:
        numbers = list(volume.rounds) if round is None else [round]
        for number in numbers:
            stored = volume.read(number)
            for group in stored.own:
                yield from _of(volume.node, number, "own", group)
            for group in stored.foreign:
                yield from _of(volume.node, number, "foreign", group)


def _of(node: str, round: int, origin: Literal["own", "foreign"], stored: StoredGroup) -> Iterator[Rollout]:
    for sample, completion in enumerate(stored.group.completions):
        yield Rollout(
            node=node,
            round=round,
            origin=origin,
            sampled_by=stored.node_id,
            sampled_in=stored.round,
            task=stored.group.task,
            item=stored.group.item,
            sample=sample,
            reward=completion.reward,
            components=stored.components[sample] if stored.components else {},
            truncated=completion.truncated,
            tokens=sum(completion.sampled),
            mean_logprob=sum(completion.logprobs) / sum(completion.sampled),
            prompt=stored.prompt,
            completion=stored.answers[sample],
        )


def _panel(each: Rollout) -> Panel:
    parts = ", ".join(f"{name} {value:.3g}" for name, value in each.components.items())
    whose = "" if each.origin == "own" else f"  taken from {each.sampled_by[:10]}… (round {each.sampled_in})"
    title = f"{each.node}  round {each.round}  {each.task} {each.item}.{each.sample}{whose}"
    ends = f"{each.tokens} tokens, mean log-probability {each.mean_logprob:.3f}"
    reward = f"reward {each.reward:.4g}" + (f" ({parts})" if parts else "")
    cut = ", truncated" if each.truncated else ""
    return Panel(
        Group(Text(each.prompt.strip(), style="dim"), Text(each.completion)),
        title=Text(title),
        title_align="left",
        subtitle=Text(f"{reward}, {ends}{cut}"),
        subtitle_align="left",
    )
