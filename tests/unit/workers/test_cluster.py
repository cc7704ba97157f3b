"""What becomes of a process whose Ray ends, and of what Ray started when it is ended."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from kubeswarm_workers.rollout.cluster import RayProcesses

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


#: Is connected to a Ray of its own, which is killed.
CONNECTED = """
import signal, sys
from pathlib import Path
from kubeswarm_workers import logs
from kubeswarm_workers.rollout import cluster
from tests.unit.workers.trainers import fresh_place

logs.configure()
place = fresh_place(Path(sys.argv[1]))
cluster.use_token(place)
processes = cluster.start(place, head=None, engines=0)
cluster.connect(processes, lambda: False)
processes.process.kill()
signal.pause()
"""


@pytest.mark.engine
def test_who_is_connected_ends_with_its_ray(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CONNECTED, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1, done.stderr
    assert "Ray has ended, and this process with it" in done.stdout


def test_nothing_that_ray_started_is_left_when_it_has_been_stopped(tmp_path: Path) -> None:
    """An engine in a session of its own that can't hear of Ray's end."""
    folder, ready = tmp_path / "ray", tmp_path / "ready"
    folder.mkdir()
    os.mkfifo(ready)
    starts_an_engine = f"setsid sh -c 'echo $$ > {ready}; exec sleep 600' & wait"
    processes = RayProcesses(["sh", "-c", starts_an_engine], dict(os.environ), [], folder, folder, "nowhere")
    try:
        engine = psutil.Process(int(ready.read_text()))
        engine.suspend()
    finally:
        processes.stop()
    assert not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE
