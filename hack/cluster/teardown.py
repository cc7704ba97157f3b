"""Removing what a node leaves on the machine: pods, mounts, packet filter rules, control groups, links."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

from hack.cluster import network
from hack.cluster.layout import Layout
from hack.console import Problem, run, say

CGROUPS = Path("/sys/fs/cgroup")
CONTAINER_LOG_LINKS = Path("/var/log/containers")


def remove_pods(layout: Layout) -> None:
    """Stop and remove every pod through the container runtime, then end what it could not."""
    if layout.containerd_socket.is_socket():
        try:
            run([layout.bin / "remove-pods", f"--endpoint=unix://{layout.containerd_socket}", "--timeout=90s"])
        except Problem as problem:
            say(f"the runtime did not remove every pod, so they are killed: {problem}")
    survivors = _pod_processes() + _shims(layout)
    for pid in survivors:
        _kill(pid)
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in survivors) and time.monotonic() < deadline:
        time.sleep(0.1)


def sweep(layout: Layout) -> None:
    """Undo the mounts, network settings and control groups; needs all components stopped."""
    for mount in reversed(_mounts_below(layout.run, layout.state, layout.cache / "containers")):
        run(["umount", "--lazy", mount])
    network.tear_down()
    for pods in _pod_cgroups():
        for folder in sorted(pods.rglob("*/"), key=lambda path: len(path.parts), reverse=True):
            folder.rmdir()
        pods.rmdir()
    if CONTAINER_LOG_LINKS.is_dir():
        for link in CONTAINER_LOG_LINKS.iterdir():
            if link.is_symlink() and link.readlink().is_relative_to(layout.state):
                link.unlink()
    shutil.rmtree(layout.run, ignore_errors=True)


def _mounts_below(*folders: Path) -> list[str]:
    """Mount points below the folders, in the order in which they were mounted."""
    points = [line.split()[1].replace("\\040", " ") for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [point for point in points if any(Path(point).is_relative_to(folder) for folder in folders)]


def _pod_cgroups() -> list[Path]:
    """The kubelet's control group, once by hierarchy in version 1."""
    return [path for path in (CGROUPS / "kubepods", *CGROUPS.glob("*/kubepods")) if path.is_dir()]


def _pod_processes() -> list[int]:
    return sorted(
        {int(pid) for pods in _pod_cgroups() for file in pods.rglob("cgroup.procs") for pid in file.read_text().split()}
    )


def _shims(layout: Layout) -> list[int]:
    """The runtime's helpers of this cluster, told by the address that they were given."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if words[0].endswith("containerd-shim-runc-v2") and str(layout.containerd_socket) in words:
            found.append(int(file.parts[2]))
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
