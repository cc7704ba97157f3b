"""What a run measured, in the files of other loggers: written by the command that a user installs, read by theirs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeswarm_api import names
from kubeswarm_api.reports import RoundReport
from kubeswarm_cli.local.directory import RunDirectory
from kubeswarm_cli.local.log import points
from kubeswarm_cli.local.swarm_file import read as read_swarm
from tests.unit.cli.local import loggers

SECONDS = 300.0


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter of an environment with the command and its extras."""
    return loggers.python()


def round_report(number: int) -> RoundReport:
    return RoundReport(
        round=number,
        reward=0.1 * number,
        tasks={"sums": {"reward": 0.1 * number, "strict": 0.5}},
        samples=16,
        tokens=99,
        taken=0,
        loss_hex=(0.5).hex(),
        meters={"loss": 0.5, "mismatch.local.gap": 1e-6},
        model="0x" + "00" * 32,
        seconds={"generate": 1.5},
        finished=f"2026-11-25T20:00:0{number}.000+00:00",
    )


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A Node's volume after two rounds and a torn line."""
    data = tmp_path / "node-0"
    (data / names.CHECKPOINTS).mkdir(parents=True)
    lines = [json.dumps(round_report(number).to_json()) for number in (1, 2)]
    (data / names.HISTORY).write_text("\n".join([*lines, '{"round": 3, "rew']))
    measured = {"items": 4, "reward": 0.3, "exact": None, "reward_error": 0.1, "exact_error": 0.0}
    held_out = [{"round": number, **measured, "tasks": {"sums": measured}} for number in (0, 2)]
    (data / names.HELD_OUT).write_text(json.dumps(held_out))
    return data


READ = {
    "tensorboard": """
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
[folder] = Path(out).glob("*/*-0")
found = EventAccumulator(str(folder)); found.Reload()
read = {tag: [(e.step, round(e.value, 6)) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
""",
    "mlflow": """
import os; os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
from mlflow import MlflowClient
client = MlflowClient(tracking_uri=Path(out).as_uri())
[run] = client.search_runs([e.experiment_id for e in client.search_experiments()])
assert run.info.status == "FINISHED" and run.info.run_name == "node-0"
read = {key: [(m.step, round(m.value, 6)) for m in client.get_metric_history(run.info.run_id, key)]
        for key in run.data.metrics}
""",
    "wandb": """
import struct
from wandb.proto import wandb_internal_pb2
[file] = Path(out).glob("wandb/offline-run-*/*.wandb")
data, at, read, whole = file.read_bytes(), 7, {}, b""
while at + 7 <= len(data):  # LevelDB's log: blocks of 32 KiB, records of a checksum, a length, a kind, the content
    if 32768 - at % 32768 < 7:
        at += 32768 - at % 32768
        continue
    _, length, kind = struct.unpack("<IHB", data[at : at + 7])
    whole += data[at + 7 : at + 7 + length]
    at += 7 + length
    if kind in (2, 3):  # first, middle
        continue
    record = wandb_internal_pb2.Record(); record.ParseFromString(whole)
    whole = b""
    values = {".".join(i.nested_key) or i.key: json.loads(i.value_json) for i in record.history.item}
    for key, value in values.items():
        if not key.startswith("_"):
            read.setdefault(key, []).append((values["_step"], round(value, 6)))
""",
}


def read_back(python: Path, out: Path, logger: str) -> dict[str, list[tuple[Any, ...]]]:
    """What the logger's own package finds in its files: (step, value) by name."""
    script = f"import json, sys\nfrom pathlib import Path\nout = sys.argv[1]\n{READ[logger]}\nprint(json.dumps(read))"
    done = subprocess.run([python, "-c", script, out], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {key: [tuple(point) for point in found] for key, found in json.loads(done.stdout).items()}


@pytest.mark.parametrize("logger", READ)
def test_the_loggers_own_package_reads_what_was_measured(
    python: Path, volume: Path, tmp_path: Path, logger: str
) -> None:
    out = tmp_path / "out"
    command = [python, "-m", "kubeswarm_cli", "log", volume, "--to", logger, "--out", out]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    read = read_back(python, out, logger)
    expected: dict[str, list[tuple[int, float]]] = {}
    for point in points(volume):
        for name, value in point.values.items():
            expected.setdefault(name, []).append((point.round, round(value, 6)))
    assert read == expected
    assert expected["held_out/reward"] == expected["held_out/sums/reward"] == [(0, 0.3), (2, 0.3)]
    assert expected["tasks/sums/strict"] == [(1, 0.5), (2, 0.5)]
    assert expected["meters/mismatch/local/gap"] == [(1, 1e-6), (2, 1e-6)]


def test_without_the_package_there_is_a_remedy(volume: Path) -> None:
    command = [sys.executable, "-m", "kubeswarm_cli", "log", volume, "--to", "wandb", "--out", volume / "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "pip install 'kubeswarm-cli[wandb]'" in done.stderr


class Followed:
    """A run of three rounds, and the command that follows it into TensorBoard's files."""

    def __init__(self, python: Path, folder: Path) -> None:
        example = Path(__file__).parents[4] / "examples" / "tiny.yaml"
        directory = RunDirectory(folder / "run")
        directory.path.mkdir()
        run = directory.begin(read_swarm(example), example, chain=False, share=False, model=None, threads=None)
        [node] = run.nodes
        self.history = directory.data(node) / names.HISTORY
        self.python, self.out, self.files = python, folder / "out", folder / "out" / "run" / node
        self.size = 0
        command = [python, "-m", "kubeswarm_cli", "log", "--follow", directory.path, "--to", "tensorboard"]
        self.process = subprocess.Popen(
            [*command, "--out", self.out], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def append(self, text: str) -> None:
        self.history.parent.mkdir(parents=True, exist_ok=True)
        with self.history.open("a") as file:
            file.write(text)

    def wait_until_written(self) -> None:
        """Until there is more in the files than at the last call."""
        before, deadline = self.size, time.monotonic() + SECONDS
        while self.size <= before:
            assert self.process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
            self.size = sum(path.stat().st_size for path in self.files.glob("events.*"))

    def end(self, code: int) -> tuple[str, dict[str, list[tuple[Any, ...]]]]:
        """What the command said, and what is in the files when it has ended."""
        printed, errors = self.process.communicate(timeout=SECONDS)
        assert self.process.returncode == code and "Traceback" not in errors, errors
        return printed, read_back(self.python, self.out, "tensorboard")


def line(number: int) -> str:
    return json.dumps(round_report(number).to_json()) + "\n"


@pytest.fixture
def followed(python: Path, tmp_path: Path) -> Iterator[Followed]:
    made = Followed(python, tmp_path)
    yield made
    made.process.kill()
    made.process.wait()


def test_a_run_is_followed_from_before_its_first_round_to_its_last(followed: Followed) -> None:
    followed.wait_until_written()  # the file's own head
    followed.append(line(1))
    followed.wait_until_written()
    followed.append(line(2)[:40])  # as a reader may find a line that is being written
    followed.append(line(2)[40:])
    followed.wait_until_written()
    assert followed.process.poll() is None
    followed.append(line(3))
    printed, read = followed.end(0)
    assert printed.startswith("3 points of 1 Nodes are in ")
    assert read["reward"] == [(1, 0.1), (2, 0.2), (3, 0.3)]


def test_following_ends_with_ctrl_c_and_keeps_what_it_wrote(followed: Followed) -> None:
    followed.wait_until_written()
    followed.append(line(1))
    followed.wait_until_written()
    os.kill(followed.process.pid, signal.SIGINT)
    assert followed.end(130)[1]["reward"] == [(1, 0.1)]
