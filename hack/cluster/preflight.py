"""What the machine must offer, checked before anything is touched, and the Debian packages that it lacks."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from hack.cluster.layout import Layout, Profile
from hack.console import Problem, run, step

FIRST_DISK_GIB = 30  # programs, images twice (built and imported), the Python environment
LATER_DISK_GIB = 4
CONTROL_PLANE_DISK_GIB = 1
MIN_MEMORY_GIB = 12
# A machine that is sold with 12 GiB shows a little less.
MEMORY_TOLERANCE = 0.95

# Program or file that shows a package to be there -> package.
IMAGE_PACKAGES = {
    "debootstrap": "debootstrap",
    "buildah": "buildah",
    "containers-storage": "containers-storage",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
NODE_PACKAGES = {
    **IMAGE_PACKAGES,
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "mount": "mount",
    "openssl": "openssl",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
}
CONTROL_PLANE_PACKAGES = {"openssl": "openssl"}


def check(layout: Layout) -> None:
    """Raise Problem, naming the remedy, when the cluster can't run here; install missing Debian packages."""
    full = layout.profile is Profile.FULL
    if full:
        check_root()
        _check_memory()
    first = not (layout.state / "containerd").exists()
    _check_disk(layout.state, (FIRST_DISK_GIB if first else LATER_DISK_GIB) if full else CONTROL_PLANE_DISK_GIB)
    _check_ports(layout)
    ensure_packages(NODE_PACKAGES if full else CONTROL_PLANE_PACKAGES)


def check_root() -> None:
    """Raise Problem when this process may not touch containers, mounts and the packet filter."""
    if os.geteuid() != 0:
        raise Problem("a node needs root (containers, mounts, packet filter): run this as root, or with sudo -E")


def _check_memory() -> None:
    found = re.search(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    gib = int(found[1]) / 2**20 if found else 0.0
    if gib < MIN_MEMORY_GIB * MEMORY_TOLERANCE:
        raise Problem(f"this machine has {gib:.1f} GiB of memory; the cluster needs {MIN_MEMORY_GIB}")


def _check_disk(state: Path, needed_gib: int) -> None:
    there = next(folder for folder in (state, *state.parents) if folder.exists())
    free = shutil.disk_usage(there).free / 2**30
    if free < needed_gib:
        raise Problem(
            f"{there} has {free:.1f} GiB free and {needed_gib} are needed: free some, "
            "or put KUBESWARM_STATE and KUBESWARM_CACHE on another disk"
        )


def _check_ports(layout: Layout) -> None:
    ours = {int(file.read_text().split()[0]) for file in layout.pids.glob("*")} if layout.pids.exists() else set()
    listeners = _listeners()
    for name, port in layout.ports().items():
        pid = listeners.get(port)
        if pid is None or pid in ours:
            continue
        raise Problem(
            f"port {port}, which {name} needs, is taken by {_command(pid)}: end it, "
            "or set KUBESWARM_PORT_OFFSET (such as 1000) to move all ports"
        )


def _listeners() -> dict[int, int]:
    """Listening TCP ports, with the number of the process that listens (0 when it can't be told)."""
    sockets: dict[str, int] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            continue
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":  # LISTEN
                sockets[fields[9]] = int(fields[1].rpartition(":")[2], 16)
    ports = dict.fromkeys(sockets.values(), 0)
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target.startswith("socket:[") and target[8:-1] in sockets:
            ports[sockets[target[8:-1]]] = int(link.parts[2])
    return ports


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "a process of another user"
    return f"process {pid} ({Path(words[0]).name})"


def ensure_packages(packages: dict[str, str]) -> None:
    """Install those Debian packages that are missing. Raises Problem where that can't be done here."""
    missing = [package for sign, package in packages.items() if not _present(sign)]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise Problem(f"install these packages (this machine has no apt-get to do it): {', '.join(missing)}")
    if os.geteuid() != 0:
        raise Problem(f"install these packages: apt-get install {' '.join(missing)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with step(f"installing {', '.join(missing)}"):
        run(["apt-get", "update", "-qq"], env=quiet)
        run(["apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing], env=quiet)


def _present(sign: str) -> bool:
    return Path(sign).exists() if sign.startswith("/") else shutil.which(sign) is not None
