"""The held-out measurements of a Node: one file on its volume, each measurement once."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from kubeswarm_api.encoding import canonical_json
from kubeswarm_api.reports import HeldOutReport
from kubeswarm_workers.durable import replace_file


@dataclass(frozen=True)
class HeldOut:
    """Means over the completions of the held-out set that could be scored, after `round`; `items` were scored."""

    round: int
    items: int
    reward: float
    exact: float


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
        round=last.round,
    )
