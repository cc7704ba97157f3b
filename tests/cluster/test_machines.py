"""What is wrong with machines, by the scheduler and the controller of Kubernetes, is told within 30 s."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cluster.conftest import Starter
from tests.cluster.control_plane import ControlPlane, until
from tests.cluster.manifests import POD, swarm
from tests.cluster.told import Told

MACHINE = "machine-8"
#: To this machine, whatever is wrong with it.
ANYWHERE: dict[str, Any] = {"tolerations": [{"operator": "Exists"}]}


@pytest.fixture
def machine(cluster: ControlPlane) -> Iterator[None]:
    """A machine without GPUs and without a kubelet, which the scheduler gives to nobody else."""
    taint = {"key": "kubeswarm.dev/of-a-test", "effect": "NoSchedule"}
    cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": MACHINE}, "spec": {"taints": [taint]}})
    room = {"cpu": "64", "memory": "64Gi", "pods": "110", "ephemeral-storage": "64Gi"}
    status = {"status": {"capacity": room, "allocatable": room}}
    cluster.patch("default", "node", MACHINE, status, "--subresource=status")
    yield
    cluster.kubectl("delete", "node", MACHINE)


@pytest.fixture
def apply(cluster: ControlPlane, namespace: str, start: Starter, told: Told) -> Callable[..., None]:
    """Makes a Swarm of one Node, with that of its head's template; the failure's clock begins then."""

    def apply(spec: dict[str, Any]) -> None:
        cluster.provide_volumes(namespace, 1)
        start()
        told.cause()
        cluster.apply(swarm(namespace, nodes=1, template={"head": {"spec": spec}}))

    return apply


@pytest.mark.usefixtures("machine")
def test_a_pod_that_fits_no_machine(told_of: Callable[..., None], apply: Callable[..., None]) -> None:
    apply({**ANYWHERE, "containers": [{"name": "trainer", "resources": {"limits": {"nvidia.com/gpu": "8"}}}]})
    told_of("Degraded", "Unschedulable", POD, "1 Insufficient nvidia.com/gpu", "spec.template")


@pytest.mark.usefixtures("machine")
def test_a_machine_that_begins_nothing(told_of: Callable[..., None], apply: Callable[..., None]) -> None:
    """The scheduler gives it the pod, and no kubelet is there to say a word."""
    apply(ANYWHERE)
    told_of("Degraded", "NodeLost", POD, f"machine {MACHINE}", f"kubectl get node {MACHINE}")


@pytest.mark.usefixtures("machine")
def test_a_machine_that_is_lost(
    cluster: ControlPlane, namespace: str, told: Told, told_of: Callable[..., None], apply: Callable[..., None]
) -> None:
    """From when the controller of Kubernetes says so, which takes it minutes: its word is said in its place."""
    apply(ANYWHERE)
    until(lambda: _machine_of(cluster, namespace) == MACHINE, 30, "the pod's machine")
    cluster.run_pod(namespace, POD, "127.0.9.9")
    until(lambda: cluster.reason(namespace, "swarmnode", "light-0", "Degraded", "AsExpected"), 30, "all is well")
    pod = cluster.get(namespace, "pod", POD)
    assert pod is not None
    conditions = [
        each if each["type"] != "Ready" else {**each, "status": "False"} for each in pod["status"]["conditions"]
    ]
    told.cause()
    cluster.set_pod(namespace, POD, {"conditions": conditions})
    told_of("Degraded", "NodeLost", POD, f"machine {MACHINE}", f"kubectl get node {MACHINE}")


def _machine_of(cluster: ControlPlane, namespace: str) -> str | None:
    return (cluster.get(namespace, "pod", POD) or {"spec": {}})["spec"].get("nodeName")
