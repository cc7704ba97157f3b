"""Runs a contestant as a child that is bounded in time and can't outlive us, and measures its memory.

The memory is that of all its processes together, which an exit status does not tell: of what it started, and did not
wait for, the kernel keeps no count.
"""

import contextlib
import tempfile
import time
from collections.abc import Mapping, Sequence

import psutil

from hack.console import Problem
from kubeswarm_workers.rollout.cluster import die_with_parent

SAMPLE_SECONDS = 1.0


def watch(name: str, command: Sequence[str], environment: Mapping[str, str], seconds: float) -> tuple[str, int]:
    """Its standard output, and the most bytes that its processes had together (what they share counts once).

    Raises Problem, with the end of what it said, when it fails or takes longer than `seconds`.
    """
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = psutil.Popen(command, stdout=output, stderr=errors, env=dict(environment), preexec_fn=die_with_parent)
        deadline, peak, problem = time.monotonic() + seconds, 0, f"took over {seconds:g} s"
        try:
            while time.monotonic() < deadline:
                with contextlib.suppress(psutil.TimeoutExpired):
                    code = process.wait(SAMPLE_SECONDS)
                    problem = f"ended with {code}" if code else ""
                    break
                peak = max(peak, sum(map(_bytes, _tree(process))))
        finally:
            for each in _tree(process):
                with contextlib.suppress(psutil.Error):
                    each.kill()
            process.wait()
        output.seek(0)
        errors.seek(0)
        said = output.read()
        if problem:
            raise Problem(f"{name} {problem}:\n{(said + errors.read())[-4000:]}")
        return said, peak


def _tree(process: psutil.Popen) -> list[psutil.Process]:
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
