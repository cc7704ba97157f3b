"""The chart's own roles: the API server's audit log shows that nothing is refused of what the operator asks, and that
it asks for all that it may. A release for some namespaces leaves the others alone.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.cluster.binaries import ensure_programs
from hack.cluster.layout import cache_folder
from tests.cluster.conftest import LEASE, SYSTEM, Starter
from tests.cluster.control_plane import ROOT, ControlPlane, until
from tests.cluster.manifests import UNJUDGED, node, swarm

RELEASE = "tenants"
OPERATOR = f"{RELEASE}-operator"
Right = tuple[str, str, str]
#: What no request shows: the API server looks it up itself, for owner references with blockOwnerDeletion, where the
#: admission plugin OwnerReferencesPermissionEnforcement is on.
UNSEEN = {("kubeswarm.dev", f"{plural}/finalizers", "update") for plural in ("swarms", "swarmnodes")}
#: What only an operator with a chain asks for, of which test_chain_and_exchange.py has one: the day's funding.
WITH_A_CHAIN = {("", "configmaps", "get")}


@pytest.fixture
def roles(cluster: ControlPlane, namespace: str) -> list[dict[str, Any]]:
    """The chart's RBAC objects of a release that watches the test's namespace, as they are in the cluster now."""
    helm = ensure_programs(cache_folder(), ("helm",))["helm"]
    values = {"watchNamespaces": [namespace]}
    parts = ["--show-only", "templates/rbac.yaml", "--show-only", "templates/operator.yaml"]
    command = [helm, "template", RELEASE, ROOT / "charts" / "kubeswarm", "--namespace", SYSTEM, *parts, "--values", "-"]
    done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=True)
    kinds = ("ServiceAccount", "Role", "RoleBinding")
    objects = [each for each in yaml.safe_load_all(done.stdout) if each and each["kind"] in kinds]
    cluster.apply(*objects)
    return [each for each in objects if each["kind"] == "Role"]


@pytest.fixture
def tenant(
    cluster: ControlPlane, namespace: str, start: Starter, roles: list[dict[str, Any]], tmp_path: Path
) -> Callable[..., Any]:
    """Starts an operator under the chart's account."""
    token = cluster.kubectl("-n", SYSTEM, "create", "token", OPERATOR, "--duration=1h").strip()
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"] = [{"name": "operator", "user": {"token": token}}]
    config["contexts"][0]["context"]["user"] = "operator"
    path = tmp_path / "tenant.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)

    def start_tenant(**more: Any) -> Any:
        lease = {"name": OPERATOR, **LEASE}
        exchange = {"url": "nats://127.0.0.1:9", "secret": f"{RELEASE}-exchange"}
        return start(kubeconfig=path, lease=lease, exchange=exchange, **more)

    return start_tenant


def _granted(roles: list[dict[str, Any]]) -> set[Right]:
    return {
        (group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _asked(event: dict[str, Any]) -> Right:
    target = event["objectRef"]
    resource = "/".join(filter(None, (target["resource"], target.get("subresource"))))
    return target.get("apiGroup", ""), resource, event["verb"]


def test_the_chart_grants_what_is_asked_and_nothing_else(
    cluster: ControlPlane, namespace: str, tenant: Callable[..., Any], roles: list[dict[str, Any]]
) -> None:
    _live_through_everything(cluster, namespace, tenant)
    requests = [each for each in cluster.requests(OPERATOR) if "objectRef" in each]
    refused = [each for each in requests if each.get("annotations", {}).get("authorization.k8s.io/decision") != "allow"]
    assert {_asked(each) for each in refused} == set()
    asked = {_asked(each) for each in requests if each["objectRef"].get("resource")}
    unused = _granted(roles) - asked - UNSEEN - WITH_A_CHAIN
    assert unused == set(), "rights that nothing needs"
    assert {each["objectRef"].get("namespace") for each in requests if each["objectRef"].get("resource")} <= {
        namespace,
        SYSTEM,
        None,  # discovery
    }


def _live_through_everything(cluster: ControlPlane, namespace: str, tenant: Callable[..., Any]) -> None:
    """What makes an operator do everything that it can do."""
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    first = tenant()
    blocked = swarm(namespace, "blocked", nodes=1, template={"head": {"spec": {"hostNetwork": True}}})
    cluster.apply(blocked)  # its pod is refused, which Events alone tell
    alone = node(namespace, "alone", swarm={"name": "absent"})
    cluster.apply(swarm(namespace, nodes=2, rollout={"workers": 1}), alone)
    for name in ("deployment/light-0-rollout", "pdb/light-heads", "sts/light-1-head", "secret/light-0-exchange"):
        until(lambda name=name: cluster.get(namespace, *name.split("/")), 30, name)  # type: ignore[misc]
    until(lambda: _event(cluster, namespace, "SwarmNotFound"), 30, "the lone Node's Event")

    drifts: list[tuple[str, dict[str, Any]]] = [
        ("sts/light-0-head", {"spec": {"replicas": 0}}),
        ("deployment/light-0-rollout", {"spec": {"replicas": 9}}),
        ("service/light-0-head", {"spec": {"publishNotReadyAddresses": False}}),
        ("configmap/light-0-config", {"data": {"node.json": "{}"}}),
        ("networkpolicy/light-0-head", {"spec": {"ingress": None}}),
        ("pdb/light-heads", {"spec": {"maxUnavailable": 0}}),
        ("secret/light-0-ray", {"metadata": {"labels": {"app.kubernetes.io/name": "other"}}}),
        ("swarmnode/light-0", {"spec": {"rounds": 3}}),
    ]
    for name, drift in drifts:
        kind, _, what = name.partition("/")
        before = _wanted(cluster, namespace, kind, what)
        cluster.patch(namespace, kind, what, drift)
        until(lambda k=kind, w=what, b=before: _wanted(cluster, namespace, k, w) == b, 30, f"{name} as it was")
    other = {"kind": "Service", "apiVersion": "v1", "metadata": {"name": "later-0-head", "namespace": namespace}}
    cluster.apply({**other, "spec": {"ports": [{"port": 80}]}})  # somebody else's: it is looked at
    model = {"image": None, "claim": "models"}
    join = {"name": None, "join": {"swarmId": "0x" + "ab" * 32, "credentials": "creds"}}
    cluster.apply(node(namespace, "later-0", model=model, swarm=join))
    cluster.apply(swarm(namespace, nodes=1, rollout={"workers": 0}))
    for name in ("deployment/light-0-rollout", "pdb/light-heads", "swarmnode/light-1"):
        until(lambda name=name: cluster.get(namespace, *name.split("/")) is None, 30, f"{name} gone")  # type: ignore[misc]
    until(lambda: _event(cluster, namespace, "PodRefused"), 30, "the refused pod's reason")
    cluster.apply(swarm(namespace, nodes=1, rollout={"workers": 0}, storage={"size": "20Gi"}))
    until(lambda: _size(cluster, namespace) == "20Gi" or _refused(cluster, namespace), 30, "the claim grows")
    _change_twice(cluster, namespace)
    first.stop()

    cluster.kubectl("-n", namespace, "patch", "swarmnode/alone", "--type=merge", "--subresource=status",
                    "-p", '{"status": {"conditions": []}}')  # fmt: skip
    cluster.patch(SYSTEM, "secret", f"{RELEASE}-exchange", {"data": {"nats.conf": "b2xk"}})
    token = cluster.get(namespace, "secret", "light-0-ray")
    second = tenant(rayTokenDays=1 / 86400)
    until(lambda: _event(cluster, namespace, "SwarmNotFound", 2), 30, "the same Event is counted up")
    until(lambda: _configuration(cluster) != "b2xk", 30, "the exchange server's configuration is brought up to date")
    until(lambda: cluster.get(namespace, "secret", "light-0-ray") != token, 30, "another token")
    ending = {"failurePolicy": {"deadlineSeconds": 1}, "ttlSecondsAfterFinished": 0}
    cluster.apply(swarm(namespace, nodes=1, storage={"size": "20Gi"}, **ending))
    until(lambda: cluster.get(namespace, "swarm", "light") is None, 60, "the Swarm goes by itself")
    second.stop()


def _change_twice(cluster: ControlPlane, namespace: str) -> None:
    """Before a ready Node's pods are changed, what it has is kept: the second time in the place of the first."""
    cluster.provide_volumes(namespace, 6)  # other claims wait for one too
    revision, pod = None, None
    for norm in (1.0, 0.5, 0.25):
        settled = {"algorithm": {"maxGradNorm": norm}, "update": {"minReadySeconds": 0}}
        cluster.apply(swarm(namespace, "proven", nodes=1, template=UNJUDGED, **settled))
        pod = until(lambda known=pod: _other(known, _uid(cluster, namespace)), 40, "its pod")  # type: ignore[misc]
        cluster.run_pod(namespace, "proven-0-head-0", "127.0.9.8")
        revision = until(lambda known=revision: _other(known, _revision(cluster, namespace)), 40, "ready with it")  # type: ignore[misc]


def _other(known: str | None, now: str | None) -> str | None:
    return now if now != known else None


def _uid(cluster: ControlPlane, namespace: str) -> str | None:
    return (cluster.get(namespace, "pod", "proven-0-head-0") or {"metadata": {}})["metadata"].get("uid")


def _revision(cluster: ControlPlane, namespace: str) -> str | None:
    return (cluster.get(namespace, "swarmnode", "proven-0") or {}).get("status", {}).get("revision")


def _wanted(cluster: ControlPlane, namespace: str, kind: str, name: str) -> dict[str, Any]:
    live = cluster.get(namespace, kind, name) or {"metadata": {}}
    return {"spec": live.get("spec"), "data": live.get("data"), "labels": live["metadata"].get("labels")}


def _event(cluster: ControlPlane, namespace: str, reason: str, count: int = 1) -> bool:
    return any(each["reason"] == reason and each["count"] == count for each in cluster.items(namespace, "events"))


def _size(cluster: ControlPlane, namespace: str) -> str | None:
    live = cluster.get(namespace, "pvc", "light-0-data")
    return live["spec"]["resources"]["requests"]["storage"] if live else None


def _refused(cluster: ControlPlane, namespace: str) -> bool:
    """Without a class that allows it the API server refuses to let a claim grow: it was asked."""
    degraded = cluster.condition(namespace, "swarmnode", "light-0", "Degraded") or {}
    return "PersistentVolumeClaim light-0-data was refused" in degraded.get("message", "")


def _configuration(cluster: ControlPlane) -> str | None:
    live = cluster.get(SYSTEM, "secret", f"{RELEASE}-exchange")
    return live["data"]["nats.conf"] if live else None


@pytest.fixture
def neighbour(cluster: ControlPlane, namespace: str) -> Iterator[str]:
    """Another tenant's namespace."""
    name = f"{namespace}-neighbour"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def test_some_namespaces_are_watched_and_others_left_alone(
    cluster: ControlPlane, namespace: str, start: Starter, neighbour: str
) -> None:
    third = f"{namespace}-third"
    cluster.kubectl("create", "namespace", third)
    start(namespaces=[namespace, neighbour])
    for each in (namespace, neighbour, third):
        cluster.apply(swarm(each, nodes=1))
    for each in (namespace, neighbour):
        until(lambda each=each: cluster.get(each, "sts", "light-0-head"), 30, f"work in {each}")
    time.sleep(2)
    assert cluster.items(third, "swarmnodes,statefulsets,secrets") == []
    left = cluster.get(third, "swarm", "light")
    assert left is not None
    assert [each["reason"] for each in left["status"]["conditions"]] == ["Pending"], "the API server's own word"
    assert left["status"]["observedGeneration"] == 0
    cluster.kubectl("delete", "namespace", third, neighbour, "--wait=false")


def test_all_namespaces_are_watched(cluster: ControlPlane, namespace: str, start: Starter, neighbour: str) -> None:
    start(namespaces=[])
    for each in (namespace, neighbour):
        cluster.apply(swarm(each, nodes=1))
    for each in (namespace, neighbour):
        until(lambda each=each: cluster.get(each, "sts", "light-0-head"), 60, f"work in {each}")
