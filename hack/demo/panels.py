"""Asks Prometheus every query of the dashboard: a panel that shows nothing is a fault."""

import json
import math
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

from hack.demo.report import Panels
from hack.generate.dashboard import PATH, queries

MAX_POINTS = 2000
MIN_STEP_SECONDS = 10.0


def ask(prometheus: str, start: datetime, end: datetime, dashboard: Path = PATH) -> Panels:
    """Which queries of the dashboard gave a number between `start` and `end`.

    Raises URLError when Prometheus does not answer; a query that it refuses counts as empty.
    """
    found = list(queries(json.loads(dashboard.read_text(encoding="utf-8"))))
    span = (end - start).total_seconds()
    step = max(MIN_STEP_SECONDS, span / MAX_POINTS)
    empty = tuple(
        f"{query.panel}: {query.expression}"
        for query in found
        if not _has_numbers(prometheus, query.concrete(), start, end, step)
    )
    return Panels(len(found), empty)


def _has_numbers(prometheus: str, expression: str, start: datetime, end: datetime, step: float) -> bool:
    asked = {"query": expression, "start": start.timestamp(), "end": end.timestamp(), "step": step}
    with urlopen(f"{prometheus}/api/v1/query_range?{urlencode(asked)}", timeout=30) as answer:
        series = json.load(answer)["data"]["result"]
    return any(math.isfinite(float(value)) for one in series for _, value in one["values"])
