"""The held-out measurements of a Node: one file on its volume, each measurement once."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kubeswarm_api.encoding import canonical_json
from kubeswarm_api.reports import HeldOutReport
from kubeswarm_workers.durable import replace_file
from kubeswarm_workers.environments.contract import Score


@dataclass(frozen=True)
class HeldOut:
    """Means over the held-out items whose completions could be scored, after `round`.

    `reward_error` and `exact_error` are half the width of a 95 % interval of the mean over items: an item's completions
    are not independent of one another. `exact` is the mean of the component "strict", None where there is none.
    """

    round: int
    items: int
    reward: float
    exact: float | None
    reward_error: float = 0.0
    exact_error: float = 0.0


def of(scored: Sequence[Sequence[Score]], round: int) -> HeldOut | None:
    """The measurement from each item's scores; None without any."""
    if not scored:
        return None
    rewards = [statistics.fmean(score.reward for score in scores) for scores in scored]
    strict = [
        statistics.fmean(values)
        for scores in scored
        if (values := [score.strict for score in scores if score.strict is not None])
    ]
    return HeldOut(
        round=round,
        items=len(scored),
        reward=statistics.fmean(rewards),
        exact=statistics.fmean(strict) if strict else None,
        reward_error=error(rewards),
        exact_error=error(strict),
    )


def error(values: Sequence[float]) -> float:
    """Half the width of the normal 95 % interval of the mean; 0 of fewer than two values."""
    return 1.96 * statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0


def read(path: Path, last_round: int) -> list[HeldOut]:
    """The measurements up to `last_round`, oldest first: what a lost checkpoint came after does not count."""
    if not path.exists():
        return []
    entries = [HeldOut(**entry) for entry in json.loads(path.read_bytes())]
    return [entry for entry in entries if entry.round <= last_round]


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
