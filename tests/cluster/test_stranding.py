"""A head pod that got its machine with a claim that is gone, or is to go, is made anew, by the operator's rights."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.conftest import Starter
from tests.cluster.control_plane import ControlPlane, until
from tests.cluster.manifests import UNJUDGED, swarm

MACHINE, CLASS = "machine-7", "by-hand"
STRANDED, RUNS = "light-0", "light-1"


@pytest.fixture
def machine(cluster: ControlPlane) -> Iterator[None]:
    """A machine that no scheduler gives away, and a storage class whose volumes wait for their first pod's machine."""
    provisioner = {"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"}
    cluster.apply(
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": MACHINE}, "spec": {"unschedulable": True}},
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": CLASS}, **provisioner},
    )
    yield
    cluster.kubectl("delete", "node", MACHINE)
    cluster.kubectl("delete", "storageclass", CLASS)


@pytest.mark.usefixtures("machine")
def test_a_pod_that_can_never_run_is_made_anew_and_one_that_runs_is_not(
    cluster: ControlPlane, namespace: str, start: Starter
) -> None:
    start()
    cluster.apply(swarm(namespace, nodes=2, storage={"storageClassName": CLASS}, template=UNJUDGED))
    before = {node: _placed(cluster, namespace, f"{node}-head-0") for node in (STRANDED, RUNS)}
    cluster.run_pod(namespace, f"{RUNS}-head-0", "127.0.9.9")
    told = until(
        lambda: (
            cluster.reason(namespace, "swarmnode", STRANDED, "Degraded", "NodeLost")
            or cluster.reason(namespace, "swarmnode", STRANDED, "Degraded", "ClaimPending")
        ),
        30,
        "what is wrong",
    )
    assert f"{STRANDED}-head-0" in told["message"]
    until(lambda: _going(cluster, namespace, f"{STRANDED}-head-0"), 60, "its controller deletes the pod")
    # the last word of a kubelet
    cluster.kubectl("-n", namespace, "delete", "pod", f"{STRANDED}-head-0", "--grace-period=0", "--force")
    until(lambda: _uid(cluster, namespace, f"{STRANDED}-head-0") not in (None, before[STRANDED]), 30, "another pod")
    assert not (cluster.get(namespace, "pod", f"{STRANDED}-head-0") or {})["spec"].get("nodeName")
    assert _uid(cluster, namespace, f"{RUNS}-head-0") == before[RUNS]
    live = cluster.get(namespace, "sts", f"{RUNS}-head") or {}
    assert (live["spec"]["replicas"], live["metadata"]["generation"]) == (1, 1), "nobody has touched it"
    written = [each["verb"] for each in cluster.writes() if _is_of(each, namespace, f"{STRANDED}-head")]
    assert written == ["create", "patch", "patch", "patch"], "made; then fields taken over, down, up"


@pytest.mark.usefixtures("machine")
def test_a_pod_that_was_placed_after_its_claim_was_deleted_does_not_keep_it(
    cluster: ControlPlane, namespace: str, start: Starter
) -> None:
    start()
    cluster.apply(swarm(namespace, nodes=1, storage={"storageClassName": CLASS}, template=UNJUDGED))
    claim = until(lambda: cluster.get(namespace, "pvc", "light-0-data"), 30, "the claim")["metadata"]
    until(lambda: cluster.get(namespace, "pod", "light-0-head-0"), 30, "the head pod")
    # keeps the claim as a controller does that has not heard of the first pod's end
    cluster.patch(namespace, "pvc", "light-0-data", {"metadata": {"finalizers": ["example.com/keeps"]}})
    cluster.kubectl("-n", namespace, "delete", "pvc", "light-0-data", "--wait=false")
    time.sleep(1.1)  # times of the API are whole seconds
    cluster.kubectl("-n", namespace, "delete", "pod", "light-0-head-0", "--grace-period=0", "--force")
    after = _placed(cluster, namespace, "light-0-head-0")
    cluster.run_pod(namespace, "light-0-head-0", "127.0.9.9")
    until(lambda: _going(cluster, namespace, "light-0-head-0"), 30, "its controller deletes the pod")
    cluster.kubectl("-n", namespace, "delete", "pod", "light-0-head-0", "--grace-period=0", "--force")
    cluster.patch(namespace, "pvc", "light-0-data", {"metadata": {"finalizers": None}})
    anew = until(lambda: _other(cluster.get(namespace, "pvc", "light-0-data"), claim["uid"]), 30, "another claim")
    assert "deletionTimestamp" not in anew["metadata"]
    until(lambda: _uid(cluster, namespace, "light-0-head-0") not in (None, after), 30, "another pod")
    live = cluster.get(namespace, "sts", "light-0-head") or {}
    assert live["spec"]["replicas"] == 1


def _other(live: dict[str, Any] | None, uid: str) -> dict[str, Any] | None:
    return live if live and live["metadata"]["uid"] != uid else None


def _placed(cluster: ControlPlane, namespace: str, pod: str) -> str:
    """Gives the pod its machine, as a scheduler does that takes its claim for bound; returns its uid."""
    made = until(lambda: cluster.get(namespace, "pod", pod), 30, "the head pod")
    target = {"apiVersion": "v1", "kind": "Node", "name": MACHINE}
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}
    cluster.create_raw(f"/api/v1/namespaces/{namespace}/pods/{pod}/binding", binding)
    return made["metadata"]["uid"]


def _going(cluster: ControlPlane, namespace: str, pod: str) -> bool:
    live = cluster.get(namespace, "pod", pod)
    return live is not None and "deletionTimestamp" in live["metadata"]


def _uid(cluster: ControlPlane, namespace: str, pod: str) -> str | None:
    live = cluster.get(namespace, "pod", pod)
    return live["metadata"]["uid"] if live else None


def _is_of(request: dict[str, Any], namespace: str, name: str) -> bool:
    """Whether a request is about that StatefulSet."""
    target = request["objectRef"]
    return (target["resource"], target.get("namespace"), target.get("name")) == ("statefulsets", namespace, name)
