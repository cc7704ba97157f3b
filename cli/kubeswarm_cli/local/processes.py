"""The processes of a run: each with a log of its own, none of which outlives this one."""

import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kubeswarm_cli.errors import CommandError

#: A process that fails this often without getting anywhere is given up.
MAX_FAILURES = 3
FIRST_RETRY_SECONDS = 2.0
TAIL_LINES = 12
TAIL_BYTES = 64 * 1024
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _end_with_parent() -> None:
    """In a child between fork and exec: the kernel tells it to end when its parent is gone."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Process:
    """One program, started again when it fails. Make and use it in the main thread: it ends with its maker.

    It is in a session of its own, so that Ctrl-C on the terminal does not reach it: who runs it says in which order
    things end.
    """

    def __init__(self, name: str, command: Sequence[str | Path], log: Path, env: Mapping[str, str]) -> None:
        self.name, self.log = name, log
        self._command, self._env = command, {**os.environ, "PYTHONUNBUFFERED": "1", **env}
        self._process: subprocess.Popen[bytes] | None = None
        self._failures = 0
        self._retry_at = 0.0
        self.trouble = ""

    def start(self) -> None:
        """Starts it. Raises CommandError if there is no such program."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    self._command,
                    env=self._env,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=_end_with_parent,
                )
            except OSError as error:
                raise CommandError(f"{self.name} can't be started: {self._command[0]}: {error.strerror}") from error

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self._process is not None and self._process.poll() is None

    def progressed(self) -> None:
        """It got somewhere: what failed before counts no more."""
        self._failures, self.trouble = 0, ""

    def keep_alive(self) -> None:
        """Starts it again if it has ended, after a while. Raises CommandError with the end of its log when it fails
        again and again, or fails for what no repetition mends."""
        if self._process is None or self._process.poll() is None:
            return
        if self._retry_at == 0.0:
            self._failures += 1
            code, cause = self._process.returncode, last_cause(self.log)
            what = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
            self.trouble = f"{self.name} {what}" + (f": {cause}" if cause else "")
            if self._failures > MAX_FAILURES or cause.startswith("InvalidConfig:"):
                raise CommandError(f"{self.trouble}\nThe end of {self.log}:\n{tail(self.log)}")
            self._retry_at = time.monotonic() + FIRST_RETRY_SECONDS * 2 ** (self._failures - 1)
            self.trouble += f"; it is started again ({self._failures} of {MAX_FAILURES})"
        if time.monotonic() >= self._retry_at:
            self._retry_at = 0.0
            self.start()

    def terminate(self) -> None:
        """Tells it to end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def wait(self, seconds: float) -> bool:
        """Waits until it has ended; after `seconds` it is killed, and False returned."""
        if self._process is None:
            return True
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def kill(self) -> None:
        """Ends it at once, with what it started."""
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def last_cause(log: Path) -> str:
    """What the last error in a worker's log says."""
    for line in reversed(_last_lines(log)):
        entry = _entry(line)
        if entry is not None and entry.get("level") == "error":
            return str(entry.get("cause") or entry.get("message"))
    return ""


def tail(log: Path) -> str:
    """The end of a log, for a person: of structured lines the time, the message and the cause."""
    lines: list[str] = []
    for line in _last_lines(log)[-TAIL_LINES:]:
        entry = _entry(line)
        if entry is None:
            lines.append(f"  {line[:300]}")
        else:
            told = [str(entry.get(key)) for key in ("time", "level", "message", "cause") if entry.get(key)]
            lines.append(f"  {' '.join(told)[:600]}")
    return "\n".join(lines) or "  (empty)"


def _last_lines(log: Path) -> list[str]:
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        return file.read().decode(errors="replace").splitlines()


def _entry(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
