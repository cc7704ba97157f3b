"""The history of a Node: a line a finished round on its volume, for people and for comparisons.

Nothing depends on it: what a crash tears off is missing, and a round that is played again gives a second line, which
counts.
"""

import json
from pathlib import Path

from kubeswarm_api.reports import RoundReport, finished_rounds


def append(path: Path, report: RoundReport) -> None:
    """Adds a line. Raises OSError."""
    line = json.dumps(report.to_json(), separators=(",", ":")).encode() + b"\n"
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, 2)
            if file.read(1) != b"\n":  # a line that a crash tore off
                line = b"\n" + line
        file.write(line)


def read(path: Path, last: int) -> list[RoundReport]:
    """The rounds up to `last`."""
    return finished_rounds(path.read_bytes(), last) if path.exists() else []
