"""Ours: the worker's own trainer, started as in a pod, read by its log, and stopped where it is another's turn."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from hack.bench.learner.setting import ENVIRONMENT, LORA, THREADS, Measured, Setting, end_round
from hack.bench.learner.watch import tree
from hack.console import Problem
from kubeswarm_api import names
from kubeswarm_workers.place import Place
from kubeswarm_workers.rollout.cluster import die_with_parent

PORT_OFFSET = 21_000


def run(setting: Setting, folder: str) -> Measured:
    """Trains in `folder`. Raises Problem with the end of the log when the trainer fails."""
    place = Place(Path(folder), PORT_OFFSET)
    config = place.path(names.NODE_CONFIG_FILE)
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps(_node(setting)))
    environment = {
        **os.environ,
        names.ROOT_ENV: folder,
        names.PORT_OFFSET_ENV: str(PORT_OFFSET),
        "OMP_NUM_THREADS": str(THREADS),
    }
    finished: list[dict[str, Any]] = []
    stopped: list[float] = []
    with (Path(folder) / "log").open("w+") as log:
        command = [sys.executable, "-m", "kubeswarm_workers.entrypoints.trainer"]
        with subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            preexec_fn=die_with_parent,
        ) as trainer:
            assert trainer.stdout
            for line in trainer.stdout:
                log.write(line)
                entry = json.loads(line) if line.startswith("{") else {}
                if entry.get("message") == "round finished":
                    finished.append(entry)
                    stopped.append(_stopped_at(entry["round"], psutil.Process(trainer.pid)))
                if entry.get("message") == "training complete":
                    trainer.send_signal(signal.SIGTERM)
        log.seek(0)
        if len(finished) != setting.rounds:
            raise Problem(f"the trainer ended after {len(finished)} rounds:\n{log.read()[-3000:]}")
    times = [datetime.fromisoformat(entry["time"]) for entry in finished]
    seconds = [sum(finished[0]["seconds"].values())]
    seconds += [
        (after - before).total_seconds() - off
        for (before, after), off in zip(itertools.pairwise(times), stopped, strict=False)
    ]
    phases: dict[str, float] = {}
    for entry in finished[1:]:
        for phase, taken in entry["seconds"].items():
            phases[phase] = phases.get(phase, 0.0) + taken
    phases["train"] = phases.pop("update")
    # The trainer's clock went on while it was stopped, which was before a round's first phase or within it.
    phases["generate"] = 0.0
    phases["generate"] = sum(seconds[1:]) - sum(phases.values())
    return Measured(
        [entry["reward"] for entry in finished], seconds, phases, sum(entry["tokens"] for entry in finished)
    )


def _stopped_at(round: int, trainer: psutil.Process) -> float:
    """Stops the trainer and all its processes for the others' turns; the seconds that it stood still."""
    begun = time.monotonic()
    processes = tree(trainer)
    for each in processes:
        with contextlib.suppress(psutil.Error):
            each.suspend()
    end_round(round)
    for each in processes:
        with contextlib.suppress(psutil.Error):
            each.resume()
    return time.monotonic() - begun


def _node(setting: Setting) -> dict[str, Any]:
    return {
        "namespace": "default",
        "name": "bench-0",
        "swarm": "bench",
        "swarmId": "0x" + "00" * 32,
        "index": 0,
        "modelDir": str(setting.model),
        "training": {
            "model": {"image": "unused", "lora": LORA.to_json()},
            "environment": ENVIRONMENT.to_json(),
            "seed": setting.seed,
            "rounds": setting.rounds,
            "algorithm": setting.algorithm.to_json(),
            "rollout": setting.rollout.to_json(),
            "evaluation": {"items": 0},
        },
    }
