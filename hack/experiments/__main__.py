"""`python -m hack.experiments SWARM.yaml --name NAME`: a run a seed, their table, docs/experiments/NAME.json and plots.

A run that is there already goes on, or is only read when it is complete.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from hack.cluster.layout import REPOSITORY
from hack.console import Problem, exit_with, say
from hack.experiments import curves

RUNS = REPOSITORY / "build" / "experiments"
DOCS = REPOSITORY / "docs" / "experiments"
MEASURES = {"reward": "held-out reward", "exact": "held-out share answered exactly"}


def main() -> int:
    """0 when every run is complete."""
    parser = argparse.ArgumentParser(prog="python -m hack.experiments", description=__doc__)
    parser.add_argument("file", type=Path, help="the Swarm")
    parser.add_argument("--name", required=True, help="of the files in docs/experiments")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], help="as of `kubeswarm run`")
    parser.add_argument(
        "--variant", action="append", default=[], metavar="LABEL:FIELD=VALUE", help="compare: a run a seed with each"
    )
    parser.add_argument("--read", action="store_true", help="sum up what is there, complete or not, and run nothing")
    options = parser.parse_args()
    variants = dict(variant.split(":", 1) for variant in options.variant) or {"": ""}
    folders = {
        label: [RUNS / options.name / label / f"seed-{seed}" for seed in range(options.seeds)] for label in variants
    }
    if not options.read:
        for seed in range(options.seeds):  # interleaved: what else happens on the machine happens to all
            for label, change in variants.items():
                _run(
                    options.file,
                    folders[label][seed],
                    [*options.set, *([change] if change else []), f"spec.seed={seed}"],
                )
    results = {label: [json.loads((at / "result.json").read_text()) for at in each] for label, each in folders.items()}
    kept: dict[str, Any] = {"seeds": options.seeds}
    for what, title in MEASURES.items():
        found = curves.compared({label: curves.curves(each, what) for label, each in results.items()})
        kept[what] = {name: {point.round: point.values for point in points} for name, points in found.items()}
        print(f"\n{title}, mean ± half the 95 % interval over {options.seeds} seeds (each seed):\n")
        print(curves.table(found))
        curves.plot(found, title, DOCS / f"{options.name}-{what}.svg")
    kept["variants"] = {label: _kept(each) for label, each in results.items()}
    (DOCS / f"{options.name}.json").write_text(json.dumps(kept, indent=1) + "\n")
    return 0


def _kept(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Of a variant: its spec, and by seed and Node what else is worth keeping."""
    nodes = (
        {key: node[key] for key in ("rewards", "groupsTaken", "seconds")}
        for result in results
        for node in result["nodes"]
    )
    return {"spec": results[0]["spec"], "nodes": list(nodes)}


def _run(file: Path, directory: Path, changes: list[str]) -> None:
    """Leaves the run's result.json, complete. Raises Problem when the run fails or is interrupted."""
    result = directory / "result.json"
    if result.exists() and json.loads(result.read_text())["complete"]:
        return
    say(str(directory))
    command = [sys.executable, "-m", "kubeswarm_cli", "run", str(file), "--dir", str(directory)]
    for change in changes:
        command += ["--set", change]
    if subprocess.run(command, check=False).returncode:
        raise Problem(f"{directory} did not come to its end; the same command goes on with it")


if __name__ == "__main__":
    exit_with(main)
