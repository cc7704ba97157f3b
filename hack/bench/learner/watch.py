"""Runs a contestant as a child that is bounded in time and can't outlive us, in turns, and measures its memory.

The memory is that of all its processes together, which an exit status does not tell: of what it started, and did not
wait for, the kernel keeps no count.
"""

import contextlib
import selectors
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO

import psutil

from hack.console import Problem
from kubeswarm_workers.rollout.cluster import die_with_parent

SAMPLE_SECONDS = 1.0


class Contestant:
    """A child that writes a line of JSON, and waits for one before it goes on."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], turn_seconds: float, errors: IO[str]
    ) -> None:
        """Nothing runs before the first `turn`, none of which may take longer than `turn_seconds`."""
        self._name, self._command, self._environment = name, command, dict(environment)
        self._seconds, self._errors = turn_seconds, errors
        self._process: psutil.Popen | None = None
        #: The most bytes that its processes had together (what they share counts once).
        self.peak = 0

    def turn(self) -> str:
        """Lets it go on, and returns its next line of JSON.

        Raises Problem, with the end of what it said, when it ends or takes too long.
        """
        if self._process is None:
            self._process = psutil.Popen(
                self._command,
                bufsize=0,  # or a line waits where `select` does not see it
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=self._environment,
                preexec_fn=die_with_parent,
            )
        else:
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()
        deadline = time.monotonic() + self._seconds
        with selectors.DefaultSelector() as readable:
            readable.register(self._process.stdout, selectors.EVENT_READ)
            while time.monotonic() < deadline:
                if not readable.select(SAMPLE_SECONDS):
                    self.peak = max(self.peak, sum(map(_bytes, tree(self._process))))
                    continue
                line = self._process.stdout.readline().decode()
                if not line:
                    raise self._problem(f"ended with {self._process.wait()}")
                if line.startswith('{"'):  # libraries print what looks like it
                    return line
                self._errors.write(line)
        raise self._problem(f"took over {self._seconds:g} s")

    def _problem(self, what: str) -> Problem:
        self._errors.seek(0)
        return Problem(f"{self._name} {what}:\n{self._errors.read()[-4000:]}")

    def end(self) -> None:
        """Ends whatever still runs of it."""
        if self._process is not None:
            for each in tree(self._process):
                with contextlib.suppress(psutil.Error):
                    each.kill()
            self._process.wait()


@contextmanager
def contestant(
    name: str, command: Sequence[str], environment: Mapping[str, str], turn_seconds: float
) -> Iterator[Contestant]:
    """One that does not outlive the context."""
    with tempfile.TemporaryFile("w+") as errors:
        child = Contestant(name, command, environment, turn_seconds, errors)
        try:
            yield child
        finally:
            child.end()


def tree(process: psutil.Process) -> list[psutil.Process]:
    """It and all that it started, as far as they are there."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _bytes(process: psutil.Process) -> int:
    """Its proportional set: a page that several processes share is divided among them."""
    try:
        return process.memory_full_info().pss
    except psutil.Error:
        return 0
