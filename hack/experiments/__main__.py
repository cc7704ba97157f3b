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
    parser.add_argument("--read", action="store_true", help="sum up what is there, complete or not, and run nothing")
    options = parser.parse_args()
    folders = [RUNS / options.name / f"seed-{seed}" for seed in range(options.seeds)]
    if not options.read:
        for seed, folder in enumerate(folders):
            _run(options.file, folder, seed, options.set)
    results = [json.loads((folder / "result.json").read_text()) for folder in folders]
    kept: dict[str, Any] = {"spec": results[0]["spec"], "seeds": options.seeds}
    for what, label in MEASURES.items():
        found = curves.curves(results, what)
        kept[what] = {task: {point.round: point.values for point in points} for task, points in found.items()}
        print(f"\n{label}, mean ± half the 95 % interval over {options.seeds} seeds (each seed):\n")
        print(curves.table(found))
        curves.plot(found, label, DOCS / f"{options.name}-{what}.svg")
    kept["reward_by_round"] = [result["nodes"][0]["rewards"] for result in results]
    kept["seconds"] = [result["nodes"][0]["seconds"] for result in results]
    (DOCS / f"{options.name}.json").write_text(json.dumps(kept, indent=1) + "\n")
    return 0


def _run(file: Path, directory: Path, seed: int, changes: list[str]) -> None:
    """Leaves the run's result.json, complete. Raises Problem when the run fails or is interrupted."""
    result = directory / "result.json"
    if result.exists() and json.loads(result.read_text())["complete"]:
        return
    say(f"seed {seed}: {directory}")
    command = [sys.executable, "-m", "kubeswarm_cli", "run", str(file), "--dir", str(directory)]
    for change in [*changes, f"spec.seed={seed}"]:
        command += ["--set", change]
    if subprocess.run(command, check=False).returncode:
        raise Problem(f"seed {seed} did not come to its end; the same command goes on with it")


if __name__ == "__main__":
    exit_with(main)
