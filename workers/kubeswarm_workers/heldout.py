"""The held-out measurements of a Node: one file on its volume, each measurement once."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from kubeswarm_api.encoding import canonical_json
from kubeswarm_api.reports import HeldOutReport
from kubeswarm_workers.durable import replace_file
from kubeswarm_workers.environments.contract import Score


@dataclass(frozen=True, kw_only=True)
class Means:
    """Over the items whose completions could be scored.

    `reward_error` and `exact_error` are half the width of a 95 % interval of the mean over items: an item's completions
    are not independent of one another. `exact` is the mean of the component "strict", None where there is none.
    """

    items: int
    reward: float
    exact: float | None
    reward_error: float = 0.0
    exact_error: float = 0.0

    @classmethod
    def of(cls, scored: Sequence[Sequence[Score]]) -> Self:
        """From each item's scores, of which there must be some."""
        rewards = [statistics.fmean(score.reward for score in scores) for scores in scored]
        strict = [
            statistics.fmean(values)
            for scores in scored
            if (values := [score.strict for score in scores if score.strict is not None])
        ]
        return cls(
            items=len(scored),
            reward=statistics.fmean(rewards),
            exact=statistics.fmean(strict) if strict else None,
            reward_error=error(rewards),
            exact_error=error(strict),
        )


@dataclass(frozen=True, kw_only=True)
class HeldOut(Means):
    """The measurement after `round`: of all items, and of each task's."""

    round: int
    tasks: dict[str, Means] = field(default_factory=dict)


def of(scored: Sequence[tuple[str, Sequence[Score]]], round: int) -> HeldOut | None:
    """The measurement from each item's task and scores; None without any."""
    if not scored:
        return None
    tasks = {
        task: Means.of([scores for each, scores in scored if each == task])
        for task in sorted({task for task, _ in scored})
    }
    return HeldOut(round=round, tasks=tasks, **vars(Means.of([scores for _, scores in scored])))


def error(values: Sequence[float]) -> float:
    """Half the width of the normal 95 % interval of the mean; 0 of fewer than two values."""
    return 1.96 * statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0


def read(path: Path, last_round: int) -> list[HeldOut]:
    """The measurements up to `last_round`, oldest first: what a lost checkpoint came after does not count."""
    if not path.exists():
        return []
    entries = [_parsed(**entry) for entry in json.loads(path.read_bytes())]
    return [entry for entry in entries if entry.round <= last_round]


def _parsed(*, tasks: Mapping[str, Any] = MappingProxyType({}), **fields: Any) -> HeldOut:
    return HeldOut(tasks={task: Means(**means) for task, means in tasks.items()}, **fields)


def write(path: Path, measured: list[HeldOut]) -> None:
    """Replaces the file."""
    replace_file(path, canonical_json([asdict(entry) for entry in measured]))


def report_of(measured: list[HeldOut]) -> HeldOutReport | None:
    """The first and the last one; None without any."""
    if not measured:
        return None
    first, last = measured[0], measured[-1]
    return HeldOutReport(
        items=last.items,
        before=first.reward,
        latest=last.reward,
        exact_before=first.exact,
        exact_latest=last.exact,
        latest_error=last.reward_error,
        exact_latest_error=last.exact_error,
        round=last.round,
    )
