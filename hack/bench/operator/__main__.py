"""Command line: one operator over one course, on a fresh control plane; the result goes into one JSON file."""

import argparse
import asyncio
import json
import os
import platform
import signal
import sys
import tempfile
from pathlib import Path

from hack.bench.operator.contenders import Contender, kuberay, kubeswarm
from hack.bench.operator.course import Course
from hack.bench.operator.limits import lifted
from hack.bench.operator.table import table
from hack.cluster.layout import REPOSITORY
from hack.console import exit_with
from hack.simulation.api import Object, connect
from hack.simulation.plane import control_plane

RESULTS = REPOSITORY / "docs" / "benchmarks" / "operator.json"
CONTENDERS = {"kubeswarm": kubeswarm(), "kuberay-1": kuberay(1), "kuberay-10": kuberay(10)}


def main() -> int:
    """Measures, or prints the table of what was measured."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is taken down
    results: list[Object] = json.loads(options.results.read_text()) if options.results.exists() else []
    if not options.table:
        contender = CONTENDERS[options.operator]
        with tempfile.TemporaryDirectory(prefix="kubeswarm-bench-") as folder:
            measured = asyncio.run(_measure(contender, options, Path(folder) / "plane"))
        measured["machine"] = f"{os.cpu_count()} cores, {platform.machine()}"
        key = ("operator", "objects", "namespaces", "limits")
        results = [each for each in results if any(each[name] != measured[name] for name in key)] + [measured]
        options.results.parent.mkdir(parents=True, exist_ok=True)
        options.results.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))
    return 0


async def _measure(contender: Contender, options: argparse.Namespace, state: Path) -> Object:
    with lifted(), control_plane(state) as plane:
        async with connect(plane.layout) as api:
            course = Course(
                plane=plane,
                api=api,
                contender=contender,
                count=options.count,
                namespaces=options.namespaces,
                idle_seconds=options.idle,
                neighbour=options.neighbour,
                chart=options.chart,
            )
            return await course.run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hack.bench.operator", description=__doc__)
    parser.add_argument("operator", nargs="?", choices=list(CONTENDERS), default="kubeswarm")
    parser.add_argument("--count", type=int, default=100, help="objects")
    parser.add_argument("--namespaces", type=int, default=1, help="namespaces that they are spread over")
    parser.add_argument("--idle", type=float, default=60.0, help="seconds to idle")
    parser.add_argument("--neighbour", action="store_true", help="also scale one object to a thousand pods")
    parser.add_argument("--chart", action="store_true", help="hold the operator to its chart's default limits")
    parser.add_argument("--table", action="store_true", help="measure nothing, print what was measured")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser


if __name__ == "__main__":
    exit_with(main)
