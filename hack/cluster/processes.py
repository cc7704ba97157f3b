"""Long-running programs: started once, found again by later commands, and stopped only if they are ours."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hack.console import Problem

CONFIGURATION = (".json", ".toml")


@dataclass(frozen=True)
class Process:
    """A process by number and start time (clock ticks since boot): numbers are used again, the pair is not."""

    pid: int
    started: int

    def alive(self) -> bool:
        return _start_time(self.pid) == self.started


def start(
    name: str, command: Sequence[str | Path], *, pids: Path, logs: Path, env: Mapping[str, str] | None = None
) -> Process:
    """Start a program in a session of its own, its output going to a log file.

    One that runs already is returned, unless it was started with another program, arguments or configuration: that
    one is stopped first.
    """
    recipe = _recipe(command)
    running = find(name, pids)
    if running and (pids / name).read_text().split()[2:] == [recipe]:
        return running
    stop(name, pids)
    pids.mkdir(parents=True, exist_ok=True)
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / f"{name}.log").open("ab") as log:
        child = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    started = _start_time(child.pid)
    if started is None:
        raise Problem(f"{name} ended at once:\n{log_tail(name, logs)}")
    (pids / name).write_text(f"{child.pid} {started} {recipe}\n")
    return Process(child.pid, started)


def find(name: str, pids: Path) -> Process | None:
    """The process that `start` made under this name, if it still runs."""
    try:
        pid, started = (pids / name).read_text().split()[:2]
    except FileNotFoundError:
        return None
    process = Process(int(pid), int(started))
    return process if process.alive() else None


def stop(name: str, pids: Path, *, grace: float = 20.0) -> bool:
    """Ask the process to end, kill it after `grace` seconds, and say whether there was one."""
    process = find(name, pids)
    if process:
        os.kill(process.pid, signal.SIGTERM)
        if not _wait_gone(process, grace):
            os.kill(process.pid, signal.SIGKILL)
            _wait_gone(process, 10.0)
    (pids / name).unlink(missing_ok=True)
    return process is not None


def log_tail(name: str, logs: Path, lines: int = 8) -> str:
    path = logs / f"{name}.log"
    text = path.read_text(errors="replace") if path.exists() else ""
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:])


def _recipe(command: Sequence[str | Path]) -> str:
    """A digest of the program that a command means now, its arguments, and the configuration files among them."""
    words = [str(word) for word in command]
    digest = hashlib.sha256(repr([str(Path(words[0]).resolve()), *words[1:]]).encode())
    for word in words[1:]:
        file = Path(word.rpartition("=")[2])
        if file.suffix in CONFIGURATION and file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _wait_gone(process: Process, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not process.alive():
            return True
        time.sleep(0.1)
    return not process.alive()


def _start_time(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None when it is gone or only waits to be reaped."""
    try:
        # The name in parentheses may itself hold spaces and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])
