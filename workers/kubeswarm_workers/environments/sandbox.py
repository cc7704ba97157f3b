"""Runs programs that a model wrote: one process without network, children, files to write, or sight of the worker.

What confines them is in `confine`, and works without privileges, as in a pod of the restricted standard. It is all or
nothing: where a layer is missing, `run` raises SandboxUnavailable and nothing is run.

An expected result never enters the sandbox: whatever the program prints is compared out here, so that it can't be
talked into anything. What is not hidden: that a path exists, its size and times (Landlock doesn't cover stat), the
clock, and the number of this process.
"""

import contextlib
import json
import os
import re
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kubeswarm_workers.environments.contract import FORMAT, STRICT, Score

CONFINE = Path(__file__).with_name("confine.py")
LAYERS = "resource limits, Landlock, seccomp"
FENCED = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.DOTALL)
#: Seconds that the interpreter may take to start, beside the program's own.
START_SECONDS = 20.0


class SandboxUnavailable(RuntimeError):
    """This machine can't confine a program: the message says which layer is missing."""


@dataclass(frozen=True)
class Limits:
    """`seconds` of wall and of processor time, `memory` in bytes of address space, `output` in bytes kept."""

    seconds: float = 5.0
    memory: int = 512 << 20
    output: int = 64 << 10


@dataclass(frozen=True)
class Outcome:
    """What a program did. `ended`: exit (with `code`), signal (its number), time, or output (it printed too much)."""

    ended: str
    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Case:
    """What a program reads from standard input, and what it has to print."""

    input: str
    output: str


def run(source: str, stdin: str = "", limits: Limits = Limits()) -> Outcome:
    """Runs Python source as a program. Raises SandboxUnavailable."""
    with contextlib.ExitStack() as stack:
        program = stack.enter_context(tempfile.TemporaryFile())
        program.write(source.encode(errors="replace"))
        program.seek(0)
        given = stack.enter_context(tempfile.TemporaryFile())
        given.write(stdin.encode(errors="replace"))
        given.seek(0)
        heard, status = os.pipe()
        stack.callback(os.close, heard)
        process = stack.enter_context(_start(program.fileno(), given.fileno(), status, limits))
        stack.callback(process.kill)
        os.close(status)
        if _hear(heard) != b"confined":
            process.kill()
            _, said = process.communicate()
            raise SandboxUnavailable(f"the program was not run: {said.decode(errors='replace')[-500:]}")
        return _watch(process, limits)


def score(completion: str, tests: Sequence[Case], limits: Limits = Limits()) -> Score:
    """The share of tests that the completion's program passes; strict: all of them. Raises SandboxUnavailable."""
    fenced = FENCED.findall(completion)
    source = fenced[-1] if fenced else completion
    passed = sum(_passes(run(source, case.input, limits), case) for case in tests)
    share = passed / len(tests) if tests else 0.0
    return Score(share, {FORMAT: float(bool(fenced)), STRICT: float(bool(tests) and passed == len(tests))})


def _passes(outcome: Outcome, case: Case) -> bool:
    def lines(text: str) -> list[str]:
        return [line.rstrip() for line in text.rstrip().splitlines()]

    return outcome.ended == "exit" and outcome.code == 0 and lines(outcome.stdout) == lines(case.output)


def _start(program: int, given: int, status: int, limits: Limits) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", str(CONFINE), json.dumps(asdict(limits)), str(program), str(status)],
        stdin=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(program, status),
        env={"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        cwd="/",
    )


def _hear(status: int) -> bytes:
    with selectors.DefaultSelector() as selector:
        selector.register(status, selectors.EVENT_READ)
        return os.read(status, 64) if selector.select(START_SECONDS) else b""


def _watch(process: subprocess.Popen[bytes], limits: Limits) -> Outcome:
    assert process.stdout is not None and process.stderr is not None
    deadline = time.monotonic() + limits.seconds
    kept = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    ended = "exit"
    with selectors.DefaultSelector() as selector:
        for handle in kept:
            selector.register(handle, selectors.EVENT_READ)
        while selector.get_map() and ended == "exit":
            ready = selector.select(deadline - time.monotonic())
            if time.monotonic() >= deadline:
                ended = "time"
            for key, _ in ready:
                data = os.read(key.fd, 1 << 16)
                kept[key.fd] += data
                if not data:
                    selector.unregister(key.fd)
                elif len(kept[key.fd]) > limits.output:
                    ended = "output"
    if ended == "exit":
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            ended = "time"
    process.kill()
    code = process.wait()
    if ended == "exit" and code < 0:
        ended, code = "signal", -code
    stdout, stderr = (bytes(each[: limits.output]).decode(errors="replace") for each in kept.values())
    return Outcome(ended, code, stdout, stderr)
