"""Runs the worker's real entry points as processes on this machine, each Node with files and ports of its own."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import psutil

from kubeswarm_api import names
from kubeswarm_api.reports import RoundReport
from kubeswarm_workers.place import Place

DEADLINE = 900.0
#: Processes that may run such tests at once, what each has of offsets, and the step that keeps their ports apart.
SLOTS, PLACES, STEP = 4, 5, 1000
Part = Literal["engine", "environment", "head"]
#: What is in the command line of a trainer's part.
MARKS: dict[Part, str] = {
    "engine": "ray::Engine",
    "environment": "kubeswarm_workers.environments.serve",
    "head": "/gcs_server ",
}
#: Mean |log-probability of learner - of engine| in float32, without a mistake in either.
NOISE_FLOOR = 2e-5


def _own_offsets() -> Iterator[int]:
    """In turn, and for ever: other test processes have others for as long as this one holds its lock."""
    for slot in range(SLOTS):
        with Path(tempfile.gettempdir(), f"kubeswarm-test-ports-{slot}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            first = 20_000 + slot * PLACES * STEP
            while True:
                yield from range(first, first + PLACES * STEP, STEP)
    raise RuntimeError(f"{SLOTS} processes with tests of trainers run already: wait for one to end")


_offsets = _own_offsets()
#: The offset that was given last: who has it may not have begun to listen.
_given: set[int] = set()


def fresh_place(root: Path) -> Place:
    """A place whose ports nobody has, and which is not the one that was given before: two are used together at most.

    Waits for one where those of tests before are taken yet.
    """
    for offset in _offsets:
        if offset in _given:
            time.sleep(0.1)
            continue
        place = Place(root, offset)
        try:
            for port in (names.TRAINER_PORT, names.RAY_PORT, names.RAY_NODE_MANAGER_PORT, names.RAY_WORKER_PORTS[0]):
                with socket.socket() as probe:
                    probe.bind(("", place.port(port)))
        except OSError:
            continue
        _given.clear()
        _given.add(offset)
        return place
    raise AssertionError("they never end")


def configure(
    place: Place,
    model: Path,
    environment: dict[str, Any],
    rounds: int,
    *,
    workers: int = 0,
    turns: int = 1,
    asynchronous: dict[str, int] | None = None,
    learning_rate: float = 3e-4,
) -> None:
    """Writes the Node's configuration."""
    training = {
        "model": {"image": "unused"},
        "environment": environment,
        "rounds": rounds,
        "algorithm": {"prompts": 4, "groupSize": 4, "learningRate": learning_rate},
        "async": asynchronous or {},
        "rollout": {"maxTokens": 24, "workers": workers, "maxTurns": turns},
        "evaluation": {"items": 4, "every": 2},
    }
    node = {
        "namespace": "default",
        "name": "n-0",
        "swarm": "n",
        "swarmId": "0x" + "ab" * 32,
        "index": 0,
        "training": training,
        "modelDir": str(model),
    }
    path = place.path(names.NODE_CONFIG_FILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(node))


class Process:
    """One running entry point; its log is kept in a file."""

    def __init__(self, place: Place, role: str, log: Path, **env: str) -> None:
        self.place, self.log = place, log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"kubeswarm_workers.entrypoints.{role}"],
                env={
                    **os.environ,
                    names.ROOT_ENV: str(place.root),
                    names.PORT_OFFSET_ENV: str(place.port_offset),
                    "OMP_NUM_THREADS": "2",
                    **env,
                },
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def entries(self, message: str) -> list[dict[str, Any]]:
        """The log's entries with this message."""
        found: list[dict[str, Any]] = []
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError):  # what others print, and a line that a death tore off
                entry = json.loads(line)
                if isinstance(entry, dict) and entry.get("message") == message:
                    found.append(entry)
        return found

    def wait_for(self, message: str, count: int = 1) -> None:
        """Waits until the log has `count` entries with this message; fails if the process ends before."""
        deadline = time.monotonic() + DEADLINE
        while len(self.entries(message)) < count:
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            assert time.monotonic() < deadline, self.log.read_text()[-4000:]
            time.sleep(0.05)

    def kill(self) -> None:
        """As the kernel does when memory is out."""
        self.process.kill()
        self.process.wait()

    def kill_part(self, part: Part) -> bool:
        """The same to a process of the trainer's; False where there is none at this instant."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if MARKS[part] in " ".join(child.cmdline()):
                    child.kill()
                    return True
        return False

    def terminate(self) -> int:
        """As Kubernetes does, with its grace period; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def running(place: Place, role: str, log: Path, **env: str) -> Iterator[Process]:
    """The entry point, ended in any case."""
    process = Process(place, role, log, **env)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.kill()


def records(place: Place) -> list[bytes]:
    """The spool's records by round."""
    return [path.read_bytes() for path in sorted(place.spool.glob("*.json"))]


def losses(process: Process) -> dict[int, str]:
    """The loss of each round in hexadecimal; a round that was finished twice must have given it twice."""
    found: dict[int, str] = {}
    for entry in process.entries("round finished"):
        assert found.setdefault(entry["round"], entry["lossHex"]) == entry["lossHex"]
    return found


def get(place: Place, path: str) -> bytes:
    """What a trainer answers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{place.port(names.TRAINER_PORT)}/{path}", timeout=10) as answer:
        return answer.read()


def sample(metrics: str, name: str) -> float:
    """The value of one metric with one set of labels."""
    [line] = [line for line in metrics.splitlines() if line.startswith(name + " ")]
    return float(line.rpartition(" ")[2])


def histories(place: Place) -> list[RoundReport]:
    """What was measured, round by round."""
    return [RoundReport.model_validate_json(line) for line in place.history.read_bytes().splitlines()]
