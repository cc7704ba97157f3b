"""The demo's report as JSON: what the Swarm's report says, plus the run itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hack.cluster.layout import REPOSITORY
from kubeswarm_cli.report import Report

PATH = REPOSITORY / "build" / "demo-report.json"


@dataclass(frozen=True)
class Panels:
    """How many queries the dashboard has, and which of them gave no data."""

    queries: int
    empty: tuple[str, ...]


@dataclass(frozen=True)
class Earlier:
    """What an earlier run that saw the same Swarm had measured: a later one finds its pods gone."""

    peak_memory: dict[str, int] = field(default_factory=dict[str, int])
    training_stages: dict[str, float] = field(default_factory=dict[str, float])
    panels: Panels | None = None


def earlier(uid: str, path: Path = PATH) -> Earlier:
    """What the report on disk has of the Swarm with this uid; nothing where there is none or it is of another."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        found = {}
    if found.get("swarm", {}).get("uid") != uid:
        return Earlier()
    panels = Panels(found["dashboard"]["queries"], tuple(found["dashboard"]["empty"]))
    return Earlier(found["peakMemoryBytes"], found["trainingRun"], panels)


def as_json(
    report: Report,
    stages: Mapping[str, float],
    training_stages: Mapping[str, float],
    peak_memory: Mapping[str, int],
    panels: Panels,
) -> dict[str, Any]:
    """The whole report. `stages`: seconds of this run; `training_stages`: of the run that trained."""
    return {
        "stages": dict(stages),
        "trainingRun": dict(training_stages),
        "swarm": report.to_json(),
        "peakMemoryBytes": dict(peak_memory),
        "dashboard": {"queries": panels.queries, "empty": list(panels.empty)},
    }


def write(document: dict[str, Any], path: Path = PATH) -> None:
    """Writes the file, and its folder where that is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
