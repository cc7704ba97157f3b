"""The control plane, with kwok's nodes, volumes for claims, and pods that answer /status."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from hack.cluster import lifecycle, processes
from hack.cluster.binaries import ensure_programs
from hack.cluster.definitions import wait_for_definitions
from hack.cluster.layout import REPOSITORY, Layout, Profile, cache_folder
from hack.cluster.settings import COUNTED
from hack.console import Problem, run
from hack.simulation.api import Api, Object
from kubeswarm_operator.permissions import OWN_RULES, WATCHED_RULES

#: Away from the ports of clusters and of the other tests.
PORT_OFFSET = 21_000
NODES = 8
#: What kwok's nodes and pods go through.
STAGES = ("node/fast", "node/heartbeat", "pod/fast")
STORAGE_CLASS = "simulated"
#: The service account of our operator.
OPERATOR = "kubeswarm"
#: All pods have addresses of this machine, so that one server answers for all of them. Loopback addresses would not
#: do: no endpoint may have one.
POD_RANGE = "10.198.0.0/16"
_POD_ROUTE = ("local", POD_RANGE, "dev", "lo")
_PARALLELISM = (
    "podPlayStageParallelism",
    "nodePlayStageParallelism",
    "podsOnNodeSyncParallelism",
)


@dataclass(frozen=True)
class Plane:
    """The running control plane."""

    layout: Layout

    def pid(self, component: str) -> int:
        """The process of one of its components."""
        process = processes.find(component, self.layout.pids)
        if process is None:
            raise Problem(f"{component} of the simulation has ended: see {self.layout.logs}")
        return process.pid

    def program(self, name: str) -> Path:
        """A program of the tools modules, built if the cache lacks it."""
        return ensure_programs(self.layout.cache, (name,))[name]

    def kubectl(self, *words: str, text: str | None = None) -> str:
        """As its administrator."""
        return lifecycle.kubectl(self.layout, *words, text=text)


@contextmanager
def control_plane(state: Path) -> Iterator[Plane]:
    """Starts all of it, and takes all of it down."""
    layout = Layout(Profile.CONTROL_PLANE, state, cache_folder(), PORT_OFFSET)
    lifecycle.down(layout, purge=True)
    try:
        lifecycle.up(layout)
        run(["ip", "route", "replace", *_POD_ROUTE])
        plane = Plane(layout)
        _start_kwok(plane)
        worker = [sys.executable, "-m", "hack.simulation.worker"]
        processes.start("worker", worker, pids=layout.pids, logs=layout.logs, env={"PYTHONPATH": str(REPOSITORY)})
        _install(plane)
        yield plane
    finally:
        for name in ("kwok", "worker"):
            processes.stop(name, layout.pids)
        if run(["ip", "route", "show", "table", "local", POD_RANGE]):
            run(["ip", "route", "delete", *_POD_ROUTE])
        lifecycle.down(layout, purge=True)


def _start_kwok(plane: Plane) -> None:
    layout = plane.layout
    options = {"cidr": POD_RANGE, "manageAllNodes": True, "nodeIP": "127.0.0.1", **dict.fromkeys(_PARALLELISM, 16)}
    config = {"apiVersion": "config.kwok.x-k8s.io/v1alpha1", "kind": "KwokConfiguration", "options": options}
    path = layout.config / "kwok.yaml"
    path.write_text(yaml.safe_dump(config))
    stages = module_folder("kwok", "sigs.k8s.io/kwok") / "kustomize" / "stage"
    files = [
        path,
        *sorted(each for folder in STAGES for each in (stages / folder).glob(f"{folder.split('/')[0]}-*.yaml")),
    ]
    command = [
        plane.program("kwok"),
        f"--kubeconfig={layout.kubeconfig}",
        # With leases it leaves pods alone for ever that it sees while a lease is late: on a busy machine it is.
        "--node-lease-duration-seconds=0",
        *(f"--config={file}" for file in files),
    ]
    processes.start("kwok", command, pids=layout.pids, logs=layout.logs)


def _install(plane: Plane) -> None:
    plane.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "crds"))
    wait_for_definitions(plane.kubectl)
    objects: list[Object] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": COUNTED}},
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": STORAGE_CLASS,
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": "kubernetes.io/no-provisioner",
            "volumeBindingMode": "WaitForFirstConsumer",
        },
        *(_node(index) for index in range(NODES)),
    ]
    plane.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(objects))


def module_folder(tool: str, module: str) -> Path:
    """The sources of the module that a tool is built from, fetched if they are not there."""
    found = json.loads(run(["go", "mod", "download", "-json", module], cwd=REPOSITORY / "hack" / "tools" / tool))
    return Path(found["Dir"])


def _node(index: int) -> Object:
    capacity = {"cpu": "100k", "memory": "1Pi", "pods": "10k", "ephemeral-storage": "1Pi"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"fake-{index}", "labels": {"kubernetes.io/hostname": f"fake-{index}"}},
        "status": {"capacity": capacity, "allocatable": capacity},
    }


async def provide_volumes(api: Api, count: int, name: str = "volume") -> None:
    """Volumes for as many claims: the cluster has no provisioner. `name`: what theirs begin with."""
    volumes = [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{name}-{index}"},
            "spec": {
                "capacity": {"storage": "10Gi"},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": STORAGE_CLASS,
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": f"/nowhere/{index}"},
            },
        }
        for index in range(count)
    ]
    await api.create("/api/v1/persistentvolumes", volumes)


async def recycle_volumes(api: Api) -> None:
    """Makes volumes whose claims are gone free again."""
    volumes = await api.items("/api/v1/persistentvolumes")
    released = [each["metadata"]["name"] for each in volumes if each["status"].get("phase") == "Released"]
    for name in released:
        patch = {"spec": {"claimRef": None}}
        await api.send("PATCH", f"/api/v1/persistentvolumes/{name}", patch, "application/merge-patch+json")


async def remove_volumes(api: Api) -> None:
    """All of them."""
    await api.send("DELETE", "/api/v1/persistentvolumes")


def operator_account(plane: Plane) -> Path:
    """A kubeconfig of our operator, with exactly the rights that it declares."""
    rules: list[Object] = [
        {"apiGroups": [rule.group], "resources": list(rule.resources), "verbs": list(rule.verbs)}
        for rule in (*WATCHED_RULES, *OWN_RULES)
    ]
    return account(plane, OPERATOR, rules)


def account(plane: Plane, name: str, rules: list[Object]) -> Path:
    """A kubeconfig of a service account with these rights, whose requests the audit log has."""
    group = "rbac.authorization.k8s.io"
    reference = {"apiGroup": group, "kind": "ClusterRole", "name": name}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": COUNTED}
    objects = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": COUNTED}},
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules},
        {"apiVersion": f"{group}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
         "subjects": [subject], "roleRef": reference},
    ]  # fmt: skip
    plane.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(objects))
    return account_kubeconfig(plane, COUNTED, name)


def account_kubeconfig(plane: Plane, namespace: str, name: str) -> Path:
    """A kubeconfig of a service account that is there."""
    token = plane.kubectl("-n", namespace, "create", "token", name, "--duration=8h").strip()
    config = json.loads(plane.layout.kubeconfig.read_text())
    config["users"] = [{"name": name, "user": {"token": token}}]
    config["contexts"][0]["context"]["user"] = name
    path = plane.layout.config / f"{name}.kubeconfig"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return path
