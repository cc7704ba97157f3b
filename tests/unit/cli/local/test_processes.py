"""Processes are started again a few times, told about with the end of their log, and never outlive their maker."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kubeswarm_cli.errors import CommandError
from kubeswarm_cli.local import processes
from kubeswarm_cli.local.ports import take_offset
from kubeswarm_cli.local.processes import Process


def shell(tmp_path: Path, script: str) -> Process:
    return Process("the test", ["sh", "-c", script], tmp_path / "log", {})


def keep_alive(process: Process, deadline: float = 20.0) -> None:
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        process.keep_alive()
        time.sleep(0.02)
    raise AssertionError("it was never given up")


def test_it_is_given_up_after_a_few_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "FIRST_RETRY_SECONDS", 0.01)
    line = json.dumps({"time": "now", "level": "error", "message": "trainer failed", "cause": "OSError: it broke"})
    process = shell(tmp_path, f"echo '{line}'; exit 3")
    process.start()
    with pytest.raises(CommandError, match="the test ended with code 3: OSError: it broke") as caught:
        keep_alive(process)
    assert f"The end of {tmp_path / 'log'}:\n  now error trainer failed OSError: it broke" in str(caught.value)
    assert len((tmp_path / "log").read_text().splitlines()) == 1 + processes.MAX_FAILURES


def test_progress_clears_what_failed_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "FIRST_RETRY_SECONDS", 0.0)
    process = shell(tmp_path, "exit 1")
    process.start()
    for _ in range(3 * processes.MAX_FAILURES):
        process.wait(10)
        process.keep_alive()
        assert "it is started again (1 of 3)" in process.trouble
        process.progressed()
        assert process.trouble == ""


def test_what_no_repetition_mends_is_not_repeated(tmp_path: Path) -> None:
    line = json.dumps({"level": "error", "message": "trainer failed", "cause": "InvalidConfig: model.hub"})
    process = shell(tmp_path, f"echo '{line}'; exit 1")
    process.start()
    process.wait(10)
    with pytest.raises(CommandError, match=r"InvalidConfig: model\.hub"):
        process.keep_alive()


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="/no/such: No such file"):
        Process("x", ["/no/such"], tmp_path / "log", {}).start()


def test_what_does_not_end_is_killed(tmp_path: Path) -> None:
    process = shell(tmp_path, "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    process.start()
    while "ready" not in (tmp_path / "log").read_text():
        time.sleep(0.01)
    process.terminate()
    assert process.running and not process.wait(0.2) and not process.running


MAKER = """
import sys, time
from pathlib import Path
from kubeswarm_cli.local.processes import Process
process = Process("x", ["sleep", "600"], Path(sys.argv[1]), {})
process.start()
print(process._process.pid, flush=True)
time.sleep(600)
"""


def test_it_ends_with_its_maker(tmp_path: Path) -> None:
    maker = subprocess.Popen(
        [sys.executable, "-c", MAKER, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert maker.stdout is not None
    child = int(maker.stdout.readline())
    os.kill(child, 0)
    maker.send_signal(signal.SIGKILL)
    maker.wait()
    deadline = time.monotonic() + 10
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < deadline:
            os.kill(child, 0)
            time.sleep(0.02)


def test_two_runs_never_get_the_same_ports() -> None:
    first = take_offset()
    script = "from kubeswarm_cli.local.ports import take_offset; print(take_offset().value)"
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(other.stdout) != first.value
