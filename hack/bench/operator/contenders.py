"""The two operators: how each is started, what it is asked for, and when it says that this is there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from hack.bench.operator.limits import Limits
from hack.cluster.definitions import wait_for_definitions
from hack.cluster.settings import COUNTED
from hack.simulation.api import Object
from hack.simulation.plane import OPERATOR, Plane, account, module_folder, operator_account

IMAGE = "bench:none"
#: With the packages that the operator's image holds; `make bench-operator` makes it.
ENVIRONMENT = Path(__file__).parents[3] / "build" / "venv-operator"
PORT = 29093
#: Every object of either: a head pod and so many others.
WORKERS = 3
MEBIBYTE = 1024**2


@dataclass(frozen=True)
class Contender:
    """One operator in one setting."""

    name: str
    user: str  # its service account
    plural: str
    group: str  # with version
    make: Callable[[str, str, int], Object]  # namespace, name, workers
    ready: Callable[[Object], bool]
    scale: Callable[[int], Object]  # a merge patch
    command: Callable[[Plane], tuple[list[str | Path], Mapping[str, str]]]
    kinds: tuple[str, ...]  # collections that are empty once all is deleted
    chart: Limits  # of its container, by the defaults of its chart
    volumes: bool = False

    @property
    def path(self) -> str:
        """The collection in all namespaces."""
        return f"/apis/{self.group}/{self.plural}"

    @property
    def namespaced(self) -> str:
        """The collection in one namespace, with {} for it."""
        return f"/apis/{self.group}/namespaces/{{}}/{self.plural}"


def kubeswarm(workers: int = 4) -> Contender:
    """Ours. `workers`: passes at a time."""

    def command(plane: Plane) -> tuple[list[str | Path], Mapping[str, str]]:
        config = plane.layout.config / "operator.yaml"
        config.write_text(yaml.safe_dump({"images": {"worker": IMAGE}, "workers": workers}))
        environment = {
            "KUBECONFIG": str(operator_account(plane)),
            "KUBESWARM_OPERATOR_CONFIG": str(config),
            "KUBESWARM_OPERATOR_PORT": str(PORT),
            "POD_NAMESPACE": COUNTED,
            "POD_NAME": "operator",
        }
        return [ENVIRONMENT / "bin" / "python", "-m", "kubeswarm_operator"], environment

    return Contender(
        name="KubeSwarm",
        user=OPERATOR,
        plural="swarms",
        group="kubeswarm.dev/v1alpha1",
        make=_swarm,
        ready=lambda body: _condition(body, "Ready") == "True",
        scale=lambda pods: {"spec": {"rollout": {"workers": pods}}},
        command=command,
        kinds=(
            "/apis/kubeswarm.dev/v1alpha1/swarms",
            "/apis/kubeswarm.dev/v1alpha1/swarmnodes",
            "/apis/apps/v1/statefulsets",
            "/apis/apps/v1/deployments",
        ),
        chart=Limits(cores=None, memory=512 * MEBIBYTE),
        volumes=True,
    )


def kuberay(concurrency: int) -> Contender:
    """KubeRay with so many reconciliations at a time; its default is 1."""

    def command(plane: Plane) -> tuple[list[str | Path], Mapping[str, str]]:
        everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
        kubeconfig = account(plane, "kuberay", everything)
        sources = module_folder("kuberay", "github.com/ray-project/kuberay/ray-operator")
        plane.kubectl("apply", "--server-side", "-f", str(sources / "config" / "crd" / "bases"))
        wait_for_definitions(plane.kubectl)
        words: list[str | Path] = [
            plane.program("kuberay"),
            f"--reconcile-concurrency={concurrency}",
            f"--leader-election-namespace={COUNTED}",
            f"--metrics-addr=127.0.0.1:{PORT + 1}",
            f"--health-probe-bind-address=127.0.0.1:{PORT + 2}",
        ]
        return words, {"KUBECONFIG": str(kubeconfig)}

    return Contender(
        name=f"KubeRay 1.5.0, concurrency {concurrency}",
        user="kuberay",
        plural="rayclusters",
        group="ray.io/v1",
        make=_ray_cluster,
        ready=lambda body: (body.get("status") or {}).get("state") == "ready",
        scale=lambda pods: {"spec": {"workerGroupSpecs": [_group(pods)]}},
        command=command,
        kinds=("/apis/ray.io/v1/rayclusters",),
        chart=Limits(cores=0.1, memory=512 * MEBIBYTE),
    )


def _condition(body: Object, kind: str) -> str | None:
    conditions = (body.get("status") or {}).get("conditions") or []
    return next((each["status"] for each in conditions if each["type"] == kind), None)


def _swarm(namespace: str, name: str, workers: int) -> Object:
    return {
        "apiVersion": "kubeswarm.dev/v1alpha1",
        "kind": "Swarm",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "nodes": 1,
            "model": {"image": IMAGE},
            "environment": {"reasoningGym": {"tasks": [{"name": "chain_sum"}]}},
            "rollout": {"workers": workers},
            "identity": {"retain": False},
        },
    }


def _pod(name: str) -> Object:
    resources = {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"cpu": "16", "memory": "24Gi"}}
    return {"spec": {"containers": [{"name": name, "image": IMAGE, "resources": resources}]}}


def _group(workers: int) -> Object:
    return {
        "groupName": "workers",
        "replicas": workers,
        "minReplicas": 0,
        "maxReplicas": 1000,
        "rayStartParams": {},
        "template": _pod("ray-worker"),
    }


def _ray_cluster(namespace: str, name: str, workers: int) -> Object:
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "rayVersion": "2.60.0",
            "headGroupSpec": {"rayStartParams": {}, "template": _pod("ray-head")},
            "workerGroupSpecs": [_group(workers)],
        },
    }
