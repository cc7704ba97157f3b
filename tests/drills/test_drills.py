"""Failures on the real cluster, each with the time in which the Node must be back; docs/failure-modes.md lists them."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hack.cluster import processes
from hack.cluster.components import start_component
from hack.cluster.layout import SERVICE_API
from tests.drills.drill import HEAD, NODE, Drill, degraded, recovery
from tests.e2e.swarms import SYSTEM, condition, gave, is_true, running

OUTAGE_SECONDS = 60.0
#: Of the small volume that is filled: two checkpoints of the tiny model and its stored rounds fit in well.
VOLUME_MEGABYTES = 256


def test_a_killed_trainer(drill: Drill) -> None:
    drill.cluster.sigkill(HEAD, "trainer")
    with recovery("trainer killed", 150):
        drill.cluster.wait("pods", HEAD, running("trainer", 1), 60)
        drill.trains(150)


def test_a_killed_ray_head(drill: Drill) -> None:
    drill.cluster.sigkill_inside(HEAD, "trainer", "gcs_server")
    with recovery("Ray head killed", 150):
        drill.cluster.wait("pods", HEAD, running("trainer", 1), 60)
        drill.trains(150)


def test_a_killed_engine(drill: Drill) -> None:
    """The trainer makes another one; it does not end itself."""
    before = drill.restarts()
    drill.cluster.sigkill_inside(HEAD, "trainer", "ray::Engine")
    with recovery("engine killed", 150):
        time.sleep(5)  # rounds of before, that the status did not show yet
        drill.trains(150)
    assert drill.restarts() == before


def test_a_killed_attestor(drill: Drill) -> None:
    drill.cluster.sigkill(HEAD, "attestor")
    with recovery("attestor killed", 90):
        drill.cluster.wait("pods", HEAD, running("attestor", 1), 60)
        drill.attests(90)
    assert drill.restarts()["trainer"] == 0


def test_a_killed_exchange(drill: Drill) -> None:
    """Training goes on alone meanwhile."""
    before = drill.restarts()
    drill.kill_system("nats", "nats")
    with recovery("exchange killed", 90):
        drill.cluster.wait("pods", drill.pod_of("nats"), running("nats", 1), 60, SYSTEM)
        drill.cluster.wait("swarmnodes", NODE, is_true("ExchangeReady"), 90)
        drill.trains(90)
    assert drill.restarts() == before


def test_a_killed_chain(drill: Drill) -> None:
    """Training goes on, and what was trained meanwhile is attested afterwards."""
    before = drill.restarts()
    drill.kill_system("chain", "anvil")
    with recovery("chain killed", 150):
        drill.cluster.wait("pods", drill.pod_of("chain"), running("anvil", 1), 90, SYSTEM)
        drill.cluster.wait("swarmnodes", NODE, is_true("ChainSynced"), 120)
        drill.attests(120)
    assert drill.restarts() == before


def test_operator_and_trainer_killed_together(drill: Drill) -> None:
    drill.kill_system("operator", "operator")
    drill.cluster.sigkill(HEAD, "trainer")
    with recovery("operator and trainer killed", 150):
        drill.cluster.wait("pods", HEAD, running("trainer", 1), 60)
        drill.trains(150)


def test_a_stopped_kubelet(drill: Drill) -> None:
    """The Node says that its machine is lost, its pods go on, and all is well once the kubelet is back."""
    layout, before = drill.cluster.layout, drill.restarts()
    processes.stop("kubelet", layout.pids)
    try:
        drill.cluster.wait("swarmnodes", NODE, gave("Degraded", "NodeLost"), 300)
    finally:
        start_component("kubelet", layout)
    with recovery("kubelet stopped until its machine counted as lost, from its start", 90):
        drill.cluster.wait("swarmnodes", NODE, is_true("Ready"), 90)
        drill.trains(90)
    assert drill.restarts() == before


def test_a_full_volume(drill: Drill) -> None:
    with _small_volume(drill) as folder:
        filler = folder / "filler"
        subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=64K"], check=False, capture_output=True)
        drill.cluster.wait("swarmnodes", NODE, degraded("VolumeFull", HEAD, "spec.storage.size"), 90)
        filler.unlink()
        with recovery("volume full, from when there is room again", 180):
            drill.trains(180)


@contextmanager
def _small_volume(drill: Drill) -> Iterator[Path]:
    """A file system of its own, with what the volume has, under the Node's pod; the pod is away while it is mounted."""
    folder = drill.volume()
    _suspended(drill, True)
    kept = folder.with_name(f"{folder.name}.kept")
    shutil.copytree(folder, kept, symlinks=True)
    mode = folder.stat()
    options = f"size={VOLUME_MEGABYTES}m,uid={mode.st_uid},gid={mode.st_gid},mode={mode.st_mode & 0o7777:o}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "drill", str(folder)], check=True)
    try:
        subprocess.run(["cp", "-a", f"{kept}/.", str(folder)], check=True)
        _suspended(drill, False)
        drill.trains(400)
        yield folder
    finally:
        _suspended(drill, True)
        shutil.rmtree(kept)
        shutil.copytree(folder, kept, symlinks=True)
        subprocess.run(["umount", str(folder)], check=True)
        subprocess.run(f"rm -rf {folder}/* && cp -a {kept}/. {folder} && rm -r {kept}", shell=True, check=True)
        _suspended(drill, False)


def _suspended(drill: Drill, suspend: bool) -> None:
    drill.cluster.patch("swarm", "drill", {"spec": {"suspend": suspend}})
    if suspend:
        drill.cluster.wait_gone("pods", f"kubeswarm.dev/node={NODE}", 120)


def test_a_corrupted_checkpoint(drill: Drill) -> None:
    """The one before it is used: its round is trained again, to the same record."""
    checkpoints = drill.volume() / "checkpoints"
    drill.cluster.sigkill(HEAD, "trainer")
    newest = max(checkpoints.glob("round-*"), key=lambda path: int(path.name.removeprefix("round-")))
    weights = max(newest.glob("*.safetensors"), key=lambda path: path.stat().st_size)
    with weights.open("r+b") as file:
        file.seek(weights.stat().st_size // 2)
        file.write(b"damaged")
    with recovery("newest checkpoint corrupted, trainer killed", 150):
        drill.cluster.wait("pods", HEAD, running("trainer", 1), 60)
        drill.trains(150)
        drill.attests(60)
    assert "corrupt checkpoint" in drill.cluster.kubectl(
        "logs", HEAD, "-c", "trainer", "-n", drill.cluster.namespace, "--tail=-1"
    )


def test_the_api_server_down_for_a_minute(drill: Drill) -> None:
    """Pods go on; the operator may lose its Lease, and is back once its pod reaches an API server: by the Service's
    address when kube-proxy has heard of it, which asks less often the longer it gets no answer."""
    layout, before, began = drill.cluster.layout, drill.restarts(), time.monotonic()
    processes.stop("kube-apiserver", layout.pids)
    try:
        time.sleep(max(0.0, OUTAGE_SECONDS - (time.monotonic() - began)))
    finally:
        start_component("kube-apiserver", layout)
    with recovery("API server down for 60 s, until kube-proxy lets pods reach it", 120):
        _wait_for_the_service(120)
    with recovery("API server down for 60 s, from when pods reach it", 90):
        drill.trains(90)
        drill.attests(90)
    assert drill.restarts() == before
    # A scheduler that missed what became of pods ends minutes later ("Scheduler cache is corrupted"), for a kubelet to
    # start it again; here is none that would.
    processes.stop("kube-scheduler", layout.pids)
    start_component("kube-scheduler", layout)


def _wait_for_the_service(seconds: float) -> None:
    """Until connections to the API server's address as pods know it are taken. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((SERVICE_API, 443), timeout=1.0).close()
            return
        except OSError as error:
            if time.monotonic() > end:
                raise TimeoutError(f"{SERVICE_API}:443 after {seconds:g} s: {error}") from error
        time.sleep(0.2)


def test_a_deleted_claim(drill: Drill) -> None:
    """The last of the drills: the Node begins again, and says that the chain has more of it than its volume."""
    cluster, before = drill.cluster, drill.cluster.get("pvc", "drill-0-data")["metadata"]["uid"]
    cluster.kubectl("delete", "pvc", "drill-0-data", "-n", cluster.namespace, "--wait=false")
    cluster.kubectl("delete", "pod", HEAD, "-n", cluster.namespace, "--wait=false")
    with recovery("claim and pod deleted", 300):
        cluster.wait("pvc", "drill-0-data", lambda pvc: pvc["metadata"]["uid"] != before, 120)
        cluster.wait("pods", HEAD, running("trainer", 0), 120)
        node = cluster.wait(
            "swarmnodes", NODE, lambda n: is_true("Ready")(n) and gave("ChainSynced", "SpoolDamaged")(n), 300
        )
    assert "its volume" in condition(node, "ChainSynced")["message"]
