"""A run that is interrupted by Ctrl-C and started again ends as one that was left alone, bit for bit."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from kubeswarm_api import names
from kubeswarm_cli.local.directory import RunDirectory
from tests.unit.workers.conftest import SPELLING, environment_of, make_model

pytestmark = pytest.mark.engine
#: Many more than are played until a Ctrl-C has reached the trainer.
ROUNDS = 80
SECONDS = 900.0
SWARM = {
    "apiVersion": "kubeswarm.dev/v1alpha1",
    "kind": "Swarm",
    "metadata": {"name": "again"},
    "spec": {
        "rounds": ROUNDS,
        "model": {"image": "mine/model:v1"},
        "environment": SPELLING,
        "algorithm": {"prompts": 4, "groupSize": 4, "learningRate": 3e-4},
        "rollout": {"maxTokens": 24},
        "evaluation": {"items": 4, "every": 40},
    },
}


def start(folder: Path, directory: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "kubeswarm_cli", "run", folder / "swarm.yaml", "--model", folder / "model"]
    return subprocess.Popen([*command, "--dir", directory], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def rounds_of(directory: Path) -> int:
    """Lines of the only Node's history, so far."""
    history = RunDirectory(directory).data("again-0") / names.HISTORY
    return history.read_bytes().count(b"\n") if history.exists() else 0


def left_behind(directory: Path) -> list[str]:
    """Processes of the run that are still there."""
    found: list[str] = []
    for process in psutil.process_iter(["name"]):
        try:
            if process.environ().get(names.ROOT_ENV, "").startswith(str(directory)):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def outcome(directory: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """result.json, and of its Node what has to be the same whenever and however often it was interrupted."""
    result = json.loads((directory / "result.json").read_text())
    [node] = result["nodes"]
    history = [
        {name: each[name] for name in ("round", "lossHex", "reward", "tokens", "model")} for each in node["history"]
    ]
    return result, {"history": history, "held_out": node["heldOut"], "model": node["modelDigest"]}


def test_ctrl_c_and_the_same_command_again_change_nothing(tmp_path: Path) -> None:
    make_model(tmp_path / "model", environment_of(SPELLING, 0, 8), 60)
    (tmp_path / "swarm.yaml").write_text(json.dumps(SWARM))
    alone, disturbed = tmp_path / "alone", tmp_path / "disturbed"
    with start(tmp_path, alone) as run:
        printed = run.communicate(timeout=SECONDS)[0]
        assert run.returncode == 0, printed[-4000:]

    with start(tmp_path, disturbed) as run:
        deadline = time.monotonic() + SECONDS
        while rounds_of(disturbed) < 2:
            assert run.poll() is None and time.monotonic() < deadline, run.communicate(timeout=SECONDS)[0][-4000:]
            time.sleep(0.02)
        os.kill(run.pid, signal.SIGINT)
        printed = run.communicate(timeout=SECONDS)[0]
    assert run.returncode == 130, printed[-4000:]
    assert "interrupted; to go on: kubeswarm run" in printed
    assert left_behind(disturbed) == []
    result, _ = outcome(disturbed)
    [node] = result["nodes"]
    assert not result["complete"] and 2 <= node["rounds"] < ROUNDS and "model" not in node

    with start(tmp_path, disturbed) as run:
        printed = run.communicate(timeout=SECONDS)[0]
    assert run.returncode == 0, printed[-4000:]
    assert "start 2" in printed
    result, made = outcome(disturbed)
    assert result["complete"] and made["history"][-1]["round"] == ROUNDS
    assert made == outcome(alone)[1]
    assert len({each["model"] for each in made["history"]}) > 1  # something was learnt that could have been lost
    weights = [Path(outcome(each)[0]["nodes"][0]["model"]) / "model.safetensors" for each in (alone, disturbed)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
