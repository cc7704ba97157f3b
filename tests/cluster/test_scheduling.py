"""What a template says of where pods run is taken by a real API server; autoscalers set the scale of a Node."""

import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import Starter
from tests.cluster.control_plane import ROOT, ControlPlane, until
from tests.cluster.manifests import swarm
from tests.unit.operator.test_scheduling import PLACED

UNJUDGED = {role: {"spec": {"schedulerName": "nobody"}} for role in ("head", "rollout")}
METRICS = "custom.metrics.k8s.io"


def test_a_template_places_its_pods(cluster: ControlPlane, namespace: str, start: Starter) -> None:
    metadata = {"name": "research-high"}
    cluster.apply(
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": metadata, "value": 1000},
        {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "nvidia"}, "handler": "nvidia"},
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaimTemplate",
            "metadata": {"name": "one-gpu", "namespace": namespace},
            "spec": {"spec": {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu"}}]}}},
        },
    )
    start()
    containers = {role: [{"name": name, "resources": {"claims": [{"name": "gpu"}]}}] for role, name in
                  (("head", "trainer"), ("rollout", "rollout"))}  # fmt: skip
    template = {role: {"spec": {**PLACED, "containers": mine}} for role, mine in containers.items()}
    cluster.apply(swarm(namespace, nodes=1, rollout={"workers": 1}, template=template))
    until(lambda: len(cluster.items(namespace, "pods")) == 2, 30, "both pods")
    for pod in cluster.items(namespace, "pods"):
        spec = pod["spec"]
        assert spec["priority"] == 1000
        assert spec["tolerations"][0] == PLACED["tolerations"][0]
        assert spec["topologySpreadConstraints"] == PLACED["topologySpreadConstraints"]
        assert spec["nodeSelector"] == PLACED["nodeSelector"]
        assert spec["resourceClaims"] == PLACED["resourceClaims"]
        (main,) = [each for each in spec["containers"] if each["name"] in ("trainer", "rollout")]
        assert main["resources"]["claims"] == [{"name": "gpu"}]
    claims = until(lambda: cluster.items(namespace, "resourceclaims"), 30, "claims of the pods")
    assert all(claim["metadata"]["annotations"]["resource.kubernetes.io/pod-claim-name"] == "gpu" for claim in claims)


def test_a_gate_is_told_and_forgotten_when_it_is_lifted(cluster: ControlPlane, namespace: str, start: Starter) -> None:
    """As Kueue holds pods back until there is quota, and lets them go."""
    start()
    gated = {"head": {"spec": {"schedulingGates": [{"name": "quota.example/admission"}]}}}
    cluster.apply(swarm(namespace, nodes=1, template=gated))
    until(lambda: _reason(cluster, namespace) == "SchedulingGated", 30, "the gate in the status")
    degraded = cluster.condition(namespace, "swarmnode", "light-0", "Degraded")
    assert degraded and "light-0-head-0 is held back by quota.example/admission" in degraded["message"]
    lift = '[{"op": "remove", "path": "/spec/schedulingGates"}]'
    cluster.kubectl("-n", namespace, "patch", "pod", "light-0-head-0", "--type=json", "-p", lift)
    until(lambda: _reason(cluster, namespace) == "Unschedulable", 30, "what the scheduler says once it may")


def _reason(cluster: ControlPlane, namespace: str) -> str | None:
    ready = cluster.condition(namespace, "swarmnode", "light-0", "Ready")
    return ready["reason"] if ready else None


class Adapter:
    """Answers the API server for custom.metrics.k8s.io as a metrics adapter does: one number for every object."""

    def __init__(self, folder: Path) -> None:
        self.value = "1"
        adapter = self
        key, certificate = folder / "key.pem", folder / "certificate.pem"
        request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
        subprocess.run([*request, "-keyout", key, "-out", certificate], check=True, capture_output=True)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                body = json.dumps(adapter.answer(path)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, path: str) -> dict[str, Any]:
        """Discovery, or a value of the metric that the path ends with."""
        version = f"{METRICS}/v1beta2"
        if not path.startswith(f"/apis/{version}/namespaces/"):
            metric = {
                "name": "swarmnodes.kubeswarm.dev/x",
                "namespaced": True,
                "kind": "MetricValueList",
                "verbs": ["get"],
            }
            return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": [metric]}
        *_, namespace, resource, name, metric = path.split("/")
        described = {"apiVersion": "kubeswarm.dev/v1alpha1", "kind": "Node", "name": name, "namespace": namespace}
        assert resource == "swarmnodes.kubeswarm.dev"
        value = {"describedObject": described, "metric": {"name": metric}, "value": self.value,
                 "timestamp": "2030-01-01T00:00:00Z"}  # fmt: skip
        return {"kind": "MetricValueList", "apiVersion": version, "metadata": {}, "items": [value]}

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def adapter(cluster: ControlPlane, tmp_path: Path) -> Iterator[Adapter]:
    """The adapter, made known to the API server."""
    adapter = Adapter(tmp_path)
    service = {"name": "metrics-adapter", "namespace": "default"}
    spec = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": adapter.port}]}
    api = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"v1beta2.{METRICS}"},
        "spec": {
            "group": METRICS,
            "version": "v1beta2",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {**service, "port": adapter.port},
        },
    }
    cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": service, "spec": spec}, api)
    yield adapter
    cluster.kubectl("delete", "apiservice", f"v1beta2.{METRICS}")
    cluster.kubectl("-n", "default", "delete", "service", "metrics-adapter")
    adapter.stop()


def test_an_autoscaler_sets_the_rollout_pods_of_a_node(
    cluster: ControlPlane, namespace: str, start: Starter, adapter: Adapter
) -> None:
    """Kubernetes' own autoscaler, the example's manifest, and a learner that waits all the time."""
    start()
    cluster.apply(swarm(namespace, "first-light", nodes=1, rollout={"workers": 1, "maxWorkers": 4}, template=UNJUDGED))
    autoscaler = yaml.safe_load((ROOT / "examples" / "autoscaling" / "autoscaler.yaml").read_text())
    autoscaler["metadata"]["namespace"] = namespace
    del autoscaler["spec"]["behavior"]  # the test has no minutes
    cluster.apply(autoscaler)
    name = until(lambda: _rollout_pod(cluster, namespace), 40, "a rollout pod")
    cluster.run_pod(namespace, name, "127.0.9.8")
    head = until(lambda: cluster.get(namespace, "pod", "first-light-0-head-0"), 20, "the head")
    until(lambda: _replicas(cluster, namespace) >= 2, 90, "the autoscaler's second pod")
    same = cluster.get(namespace, "pod", "first-light-0-head-0")
    assert same and same["metadata"]["uid"] == head["metadata"]["uid"], "the head goes on"
    before = _replicas(cluster, namespace)
    cluster.patch(namespace, "swarm", "first-light", {"spec": {"attest": {"rounds": 7}}})
    until(lambda: _node(cluster, namespace)["attest"]["rounds"] == 7, 30, "another edit of the Swarm")
    assert _replicas(cluster, namespace) >= before, "the Swarm leaves the scale to the autoscaler"
    cluster.patch(namespace, "swarm", "first-light", {"spec": {"rollout": {"maxWorkers": None}}})
    cluster.kubectl("-n", namespace, "delete", "hpa/first-light-0")
    until(lambda: _replicas(cluster, namespace) == 1, 30, "the Swarm's own number again")


def _rollout_pod(cluster: ControlPlane, namespace: str) -> str | None:
    pods = [pod["metadata"] for pod in cluster.items(namespace, "pods")]
    return next((pod["name"] for pod in pods if pod["labels"]["kubeswarm.dev/role"] == "rollout"), None)


def _node(cluster: ControlPlane, namespace: str) -> dict[str, Any]:
    return (cluster.get(namespace, "swarmnode", "first-light-0") or {})["spec"]


def _replicas(cluster: ControlPlane, namespace: str) -> int:
    live = cluster.get(namespace, "deployment", "first-light-0-rollout")
    return live["spec"]["replicas"] if live else 0
