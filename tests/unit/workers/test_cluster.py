"""What becomes of a process whose Ray ends."""

import subprocess
import sys
from pathlib import Path

import pytest

#: Starts what ends soon in Ray's place, and goes on when the thread has ended that waits for it.
PROGRAM = """
import os, sys, threading
from pathlib import Path
from kubeswarm_workers import logs
from kubeswarm_workers.rollout.cluster import RayProcesses

logs.configure()
folder, reason = Path(sys.argv[1]), sys.argv[2]
processes = RayProcesses(["sleep", "0.5"], dict(os.environ), [], folder, folder, "nowhere")
processes.take_along(lambda: reason == "told to stop")
if reason == "stopped":
    processes.stop()
for thread in [each for each in threading.enumerate() if each.name == "ray"]:
    thread.join()
print("goes on")
"""


@pytest.mark.parametrize(
    ("reason", "code", "said"),
    [("dies", 1, "Ray has ended, and this process with it"), ("stopped", 0, "goes on"), ("told to stop", 0, "goes on")],
)
def test_a_process_ends_with_its_ray_unless_it_ends_that_itself(
    tmp_path: Path, reason: str, code: int, said: str
) -> None:
    folder = tmp_path / "ray"
    folder.mkdir()
    command = [sys.executable, "-c", PROGRAM, folder, reason]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr
