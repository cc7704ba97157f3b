"""`python -m hack.bench.learner`: all contestants for each seed; the last line is one JSON object.

Ours and its bound take turns of one round: a machine that is now fast, now slow is so for both of them.
"""

import argparse
import importlib
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hack.bench.learner.watch import Contestant, contestant
from hack.cluster.layout import REPOSITORY, cache_folder
from hack.console import exit_with, say
from hack.images import model

RESULTS = REPOSITORY / "docs" / "benchmarks"
CONTESTANTS = {
    "trl": "TRL's GRPOTrainer",
    "workers": "KubeSwarm",
    "huggingface": "KubeSwarm with Hugging Face's generate()",
    "bound": "bound: raw vLLM + raw torch",
}
#: Who takes turns with whom: not with who takes long, since what stands still for a minute has lost its files' pages.
GROUPS = (("trl",), ("huggingface",), ("workers", "bound"))
MODULES = {"bound": "bound"}
#: A round may take this long, with what comes before the first: what hangs must not hold up the others.
ROUND_SECONDS = 900.0
#: Of a run: default and meaning.
SIZES = {
    "rounds": (4, "rounds a run; the first one is not in the rates"),
    "prompts": (8, "prompts a round"),
    "group_size": (8, "completions a prompt"),
    "max_tokens": (24, "tokens a completion at most"),
}


def main() -> int:
    """0 when every run ended."""
    options = _parser().parse_args()
    options.model = options.model or model.smollm2(cache_folder())
    if options.prepare:
        return 0
    if options.only:
        return _one(options)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTESTANTS}
    for seed in range(options.seeds):
        for group in GROUPS:
            say(f"seed {seed}: {', '.join(CONTESTANTS[name] for name in group)}")
            for name, measured in _kept(group, seed, options).items():
                runs[name].append(measured)
                say(f"  {CONTESTANTS[name]}: {measured['rate']:.2f} completions a second")
    sizes = {name: getattr(options, name) for name in ("seeds", *SIZES)}
    result = {"date": datetime.now(UTC).date().isoformat(), **sizes, **_summary(runs), "runs": runs}
    Console().print(_table(result))
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / options.result).write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "runs"}))
    return 0


def _one(options: argparse.Namespace) -> int:
    """One contestant in this process."""
    from hack.bench.learner.setting import Setting

    sizes = {name: getattr(options, name) for name in SIZES}
    contestant = importlib.import_module(f"hack.bench.learner.{MODULES.get(options.only, f'with_{options.only}')}")
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        contestant.run(Setting(options.model, options.seeds, **sizes), scratch).show()
    return 0


def _kept(group: Sequence[str], seed: int, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """A group's runs, or what an earlier call with the same sizes left of them in `options.folder`."""
    sizes = "-".join(str(getattr(options, size)) for size in SIZES)
    path = options.folder and options.folder / f"{'-'.join(group)}-{seed}-of-{sizes}.json"
    if path and path.exists():
        return json.loads(path.read_text())
    measured = _run(group, seed, options)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps(measured))
        unfinished.replace(path)
    return measured


def _run(group: Sequence[str], seed: int, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Contestants in processes of their own, one round of each at a time. Raises Problem when one fails."""
    with ExitStack() as running:
        contestants = {name: running.enter_context(_contestant(name, seed, options)) for name in group}
        for round in range(1, options.rounds + 1):
            for name, each in contestants.items():
                each.turn()
                say(f"  {CONTESTANTS[name]}: round {round} of {options.rounds}")
        measured = {name: {**json.loads(each.turn()), "peak_bytes": each.peak} for name, each in contestants.items()}
    # Without the first round, in which everything is warming up.
    completions = options.prompts * options.group_size * (options.rounds - 1)
    return {name: {**each, "rate": completions / sum(each["seconds"][1:])} for name, each in measured.items()}


def _contestant(name: str, seed: int, options: argparse.Namespace) -> AbstractContextManager[Contestant]:
    command = [sys.executable, "-m", "hack.bench.learner", "--only", name, "--model", str(options.model)]
    command += ["--seeds", str(seed), *(f"--{size.replace('_', '-')}={getattr(options, size)}" for size in SIZES)]
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "TRL_EXPERIMENTAL_SILENCE": "1"}
    return contestant(CONTESTANTS[name], command, environment, ROUND_SECONDS)


def _summary(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """By contestant over the seeds; ratios are of runs with the same seed."""
    ours = [run["rate"] for run in runs["workers"]]
    ratios = {
        name: statistics.mean(own / run["rate"] for own, run in zip(ours, runs[name], strict=True))
        for name in CONTESTANTS
        if name != "workers"
    }
    return {
        "completions_per_second": {name: _spread([run["rate"] for run in each]) for name, each in runs.items()},
        "reward_last_quarter": {name: _spread([_late(run["reward"]) for run in each]) for name, each in runs.items()},
        "peak_bytes": {name: max(run["peak_bytes"] for run in each) for name, each in runs.items()},
        "phases": {name: _shares(each) for name, each in runs.items()},
        "padding": statistics.mean(run["padding"] for run in runs["bound"]),
        "ratio_to": ratios,
    }


def _spread(values: list[float]) -> list[float]:
    """Least, mean, most."""
    return [round(value, 3) for value in (min(values), statistics.mean(values), max(values))]


def _late(rewards: list[float]) -> float:
    return statistics.mean(rewards[-max(1, len(rewards) // 4) :])


def _shares(runs: list[dict[str, Any]]) -> dict[str, float]:
    total = sum(sum(run["phases"].values()) for run in runs)
    names = {phase for run in runs for phase in run["phases"]}
    return {name: round(sum(run["phases"].get(name, 0.0) for run in runs) / total, 3) for name in sorted(names)}


def _table(result: dict[str, Any]) -> Table:
    table = Table("", "completions/s", "we are x times", "reward at the end", "peak memory")
    for name, title in CONTESTANTS.items():
        least, mean, most = result["completions_per_second"][name]
        ratio = result["ratio_to"].get(name)
        table.add_row(
            title,
            f"{mean:.2f} ({least:.2f} to {most:.2f})",
            f"{ratio:.2f}" if ratio else "",
            "" if name == "bound" else f"{result['reward_last_quarter'][name][1]:.2f}",
            f"{result['peak_bytes'][name] / 1e9:.1f} GB",
        )
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hack.bench.learner", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds; with --only: which seed")
    for size, (default, meaning) in SIZES.items():
        parser.add_argument(f"--{size.replace('_', '-')}", type=int, default=default, help=meaning)
    parser.add_argument("--model", type=Path, help="directory of the model; left out: SmolLM2-135M-Instruct")
    parser.add_argument("--result", default="learner.json", help="name of the file in docs/benchmarks")
    parser.add_argument("--folder", type=Path, help="keep each run here, and go on from those that are here already")
    parser.add_argument("--prepare", action="store_true", help="make the model only: the rest needs no network")
    parser.add_argument(
        "--only", choices=list(CONTESTANTS), help="one contestant, in this process; Enter: its next round"
    )
    return parser


if __name__ == "__main__":
    exit_with(main)
