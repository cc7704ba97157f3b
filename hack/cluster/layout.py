"""Where everything of one cluster lives: folders, ports and addresses."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

NODE_NAME = "kubeswarm"
# The node's own address sits on the loopback interface: the cluster then outlives every change of the machine's
# network and can't be reached from outside it.
NODE_ADDRESS = "10.97.0.1"
SERVICE_RANGE = "10.96.0.0/16"
SERVICE_API = "10.96.0.1"
SERVICE_DNS = "10.96.0.10"
POD_RANGE = "10.244.0.0/24"

BASE_PORTS = {
    "etcd": 2379,
    "etcd-peer": 2380,
    "kube-apiserver": 6443,
    "kube-controller-manager": 10257,
    "kube-scheduler": 10259,
    "kubelet": 10250,
    "kubelet-health": 10248,
    "kube-proxy-health": 10256,
    "kube-proxy-metrics": 10249,
    "network-policies-health": 10258,
}


class Profile(StrEnum):
    """How much of a cluster runs."""

    FULL = "full"  # everything, with a node that runs pods; one a machine
    CONTROL_PLANE = "control-plane"  # etcd, API server, controller-manager, scheduler; no node
    API = "api"  # etcd and the API server

    @property
    def components(self) -> tuple[str, ...]:
        """The processes of this profile, in the order in which they start."""
        api = ("etcd", "kube-apiserver")
        if self is Profile.API:
            return api
        control = (*api, "kube-controller-manager", "kube-scheduler")
        if self is Profile.CONTROL_PLANE:
            return control
        return (*control, "network-policies", "containerd", "kubelet", "kube-proxy", "local-volumes")


@dataclass(frozen=True)
class Layout:
    """One cluster's places. Two clusters side by side need another `state` and another `offset`."""

    profile: Profile
    state: Path
    cache: Path
    offset: int

    @property
    def address(self) -> str:
        """The address on which the API server listens."""
        return NODE_ADDRESS if self.profile is Profile.FULL else "127.0.0.1"

    @property
    def server(self) -> str:
        return f"https://{self.address}:{self.port('kube-apiserver')}"

    def port(self, name: str) -> int:
        return BASE_PORTS[name] + self.offset

    def ports(self) -> dict[str, int]:
        """The TCP ports that this profile takes, by what takes them."""
        parts = self.profile.components
        return {name: self.port(name) for name in BASE_PORTS if any(name.startswith(part) for part in parts)}

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def config(self) -> Path:
        return self.state / "config"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def pids(self) -> Path:
        return self.state / "pids"

    @property
    def bin(self) -> Path:
        """Links to the programs of this cluster, kubectl, helm, ctr and crictl among them."""
        return self.state / "bin"

    @property
    def volumes(self) -> Path:
        """The directories behind the persistent volumes."""
        return self.state / "volumes"

    @property
    def audit_log(self) -> Path:
        return self.logs / "audit.log"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "admin.kubeconfig"

    @property
    def run(self) -> Path:
        """Sockets and mounts of the container runtime; the path must be short, since a socket's is bounded."""
        return Path("/run") / self.state.name

    @property
    def containerd_socket(self) -> Path:
        return self.run / "containerd.sock"


def cache_folder() -> Path:
    """Programs, base images and image layers that outlive the cluster (KUBESWARM_CACHE)."""
    return Path(os.environ.get("KUBESWARM_CACHE", "~/.cache/kubeswarm")).expanduser()


def layout_for(profile: Profile, offset: int | None) -> Layout:
    """The layout that the environment and the command line ask for.

    KUBESWARM_STATE and KUBESWARM_PORT_OFFSET override the defaults, which keep a control plane out of a full
    cluster's way.
    """
    full = profile is Profile.FULL
    state = os.environ.get("KUBESWARM_STATE", "/var/lib/kubeswarm" if full else f"/var/lib/kubeswarm-{profile}")
    default_offset = {Profile.FULL: 0, Profile.CONTROL_PLANE: 200, Profile.API: 100}[profile]
    if offset is None:
        offset = int(os.environ.get("KUBESWARM_PORT_OFFSET", default_offset))
    return Layout(profile=profile, state=Path(state).resolve(), cache=cache_folder(), offset=offset)
