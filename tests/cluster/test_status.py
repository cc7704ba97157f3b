"""What pods suffer becomes a reason and a message; what they say becomes status; what is done frees their memory."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kubeswarm_api.base import Model
from kubeswarm_api.conditions import Reason
from kubeswarm_api.failures import FAILURES
from kubeswarm_api.names import ATTESTOR_PORT, TRAINER_PORT
from kubeswarm_api.reports import AttestorReport, HeldOutReport, NodeReport, Phase
from tests.cluster.conftest import Starter
from tests.cluster.control_plane import ControlPlane, until
from tests.cluster.manifests import node, swarm

POD = "light-0-head-0"
UNJUDGED = {"head": {"spec": {"schedulerName": "nobody"}}}


def _waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


def _crashed(exit_code: int, message: str, reason: str = "Error") -> dict[str, Any]:
    ended = {"exitCode": exit_code, "reason": reason, "message": message}
    return {**_waiting("CrashLoopBackOff"), "lastState": {"terminated": ended}, "restartCount": 4}


#: (symptom, container, its status, the reason, words of the message)
SYMPTOMS: list[tuple[str, str, dict[str, Any], str, tuple[str, ...]]] = [
    (
        "image pull",
        "trainer",
        _waiting("ImagePullBackOff", 'Back-off pulling image "x"'),
        "ImagePullFailed",
        ("trainer", POD, "Back-off pulling", "pull secrets"),
    ),
    ("image never pulled", "trainer", _waiting("ErrImageNeverPull"), "ImagePullFailed", (POD, "check the names")),
    (
        "missing Secret",
        "trainer",
        _waiting("CreateContainerConfigError", 'secret "mine" not found'),
        "SecretNotFound",
        (POD, 'secret "mine" not found', "create it"),
    ),
    (
        "crash loop",
        "trainer",
        _crashed(3, "ValueError: an odd number"),
        "CrashLoop",
        (POD, "exit code 3", "ValueError: an odd number", "kubectl logs"),
    ),
    (
        "crash loop of the attestor",
        "attestor",
        _crashed(2, "no key"),
        "CrashLoop",
        ("attestor", POD, "exit code 2", "no key"),
    ),
    (
        "out of memory",
        "trainer",
        _crashed(137, "round 3 begins", "OOMKilled"),
        "OutOfMemory",
        (POD, "memory limit", "tokensPerMicroBatch", "it said: round 3 begins"),
    ),
    (
        "checkpoint",
        "trainer",
        _crashed(1, "ValueError: model.safetensors does not match the manifest"),
        "CheckpointDamaged",
        (POD, "model.safetensors", "remove the damaged checkpoint"),
    ),
    (
        "volume",
        "trainer",
        _crashed(1, "OSError: [Errno 28] No space left on device"),
        "VolumeFull",
        (POD, "No space left", "spec.storage.size"),
    ),
    (
        "environment",
        "trainer",
        _crashed(1, "EnvironmentError: the environment died with exit code 3"),
        "EnvironmentFailed",
        (POD, "exit code 3", "spec.environment"),
    ),
]


@pytest.fixture
def light(cluster: ControlPlane, namespace: str, start: Starter) -> None:
    """A Swarm of one Node whose head pod exists, and which no scheduler judges: the tests say what becomes of it."""
    start()
    cluster.apply(swarm(namespace, nodes=1, template=UNJUDGED))
    until(lambda: cluster.get(namespace, "pod", POD), 30, "the head pod")


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize(("symptom", "container", "status", "reason", "words"), SYMPTOMS, ids=[s[0] for s in SYMPTOMS])
def test_names_what_a_container_suffers(
    cluster: ControlPlane,
    namespace: str,
    symptom: str,
    container: str,
    status: dict[str, Any],
    reason: str,
    words: tuple[str, ...],
) -> None:
    whole = {"name": container, "image": "x", "imageID": "", "ready": False, "restartCount": 0, **status}
    field = "initContainerStatuses" if container == "attestor" else "containerStatuses"
    scheduled = [{"type": "PodScheduled", "status": "True"}]
    cluster.set_pod(namespace, POD, {"phase": "Pending", field: [whole], "conditions": scheduled})
    for kind, name in (("swarmnode", "light-0"), ("swarm", "light")):
        degraded = until(lambda k=kind, n=name: _reason(cluster, namespace, k, n, "Degraded", reason), 30, reason)
        assert degraded["status"] == "True"
        for word in words:
            assert word in degraded["message"]
        ready = cluster.condition(namespace, kind, name, "Ready")
        assert ready and (ready["status"], ready["reason"]) == ("False", reason)
    shown = described(cluster, namespace, "light")
    for word in (*words, reason, POD, FAILURES[Reason(reason)].remedy):
        assert word in shown
    events = [event for event in cluster.items(namespace, "events") if event["reason"] == reason]
    assert {event["involvedObject"]["kind"] for event in events} == {"Node", "Swarm"}
    cluster.run_pod(namespace, POD, "127.0.9.9")
    until(lambda: _reason(cluster, namespace, "swarm", "light", "Degraded", "AsExpected"), 30, "healthy again")


def described(cluster: ControlPlane, namespace: str, name: str) -> str:
    """What `kubectl swarm describe` prints: kubectl finds the command in its PATH."""
    scripts = str(Path(sys.executable).parent)
    environment = {"PATH": f"{scripts}:/usr/bin:/bin", "KUBECONFIG": str(cluster.kubeconfig), "HOME": "/nonexistent"}
    command = [str(cluster.state / "bin" / "kubectl"), "swarm", "describe", name, "--namespace", namespace]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def _reason(
    cluster: ControlPlane, namespace: str, kind: str, name: str, type: str, reason: str
) -> dict[str, Any] | None:
    condition = cluster.condition(namespace, kind, name, type)
    return condition if condition and condition["reason"] == reason else None


@pytest.mark.usefixtures("light")
def test_names_a_volume_that_is_not_mounted(cluster: ControlPlane, namespace: str) -> None:
    creating = {"image": "x", "imageID": "", "ready": False, "restartCount": 0, **_waiting("ContainerCreating")}
    scheduled = [{"type": "PodScheduled", "status": "True"}]
    status = [{"name": "trainer", **creating}]
    cluster.set_pod(namespace, POD, {"phase": "Pending", "containerStatuses": status, "conditions": scheduled})
    pod = cluster.get(namespace, "pod", POD)
    assert pod is not None
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "mount", "namespace": namespace},
        "involvedObject": {"kind": "Pod", "name": POD, "namespace": namespace, "uid": pod["metadata"]["uid"]},
        "type": "Warning",
        "reason": "FailedMount",
        "message": 'MountVolume.SetUp failed for volume "mine" : secret "absent" not found',
        "lastTimestamp": now,
    }
    cluster.apply(event)
    until(lambda: _reason(cluster, namespace, "swarm", "light", "Degraded", "SecretNotFound"), 30, "SecretNotFound")
    assert 'secret "absent" not found' in _message(cluster, namespace)


def test_names_a_refused_pod(cluster: ControlPlane, namespace: str, start: Starter) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small", "namespace": namespace},
        "spec": {"hard": {"requests.memory": "1Gi"}},
    }
    cluster.apply(quota)
    start()
    cluster.apply(swarm(namespace, nodes=1, rollout={"workers": 1}))
    for word in ("head pod was refused", "exceeded quota", "raise the namespace's ResourceQuota"):
        until(lambda word=word: word in _message(cluster, namespace), 30, word)
    until(lambda: "light-0-rollout" in _message(cluster, namespace), 30, "the Deployment's refusal")


def test_names_a_pod_security_violation(cluster: ControlPlane, namespace: str, start: Starter) -> None:
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    start()
    cluster.apply(swarm(namespace, nodes=1, template={"head": {"spec": {"hostNetwork": True}}}))
    until(lambda: "pod security standard" in _message(cluster, namespace), 30, "the violation")
    until(lambda: _reason(cluster, namespace, "swarm", "light", "Degraded", "PodRefused"), 10, "PodRefused")


def test_names_a_template_that_the_api_refuses(cluster: ControlPlane, namespace: str, start: Starter) -> None:
    start()
    cluster.apply(swarm(namespace, nodes=1, template={"head": {"spec": {"restartPolicy": "Sometimes"}}}))
    until(lambda: _reason(cluster, namespace, "swarm", "light", "Degraded", "ApiRefused"), 30, "ApiRefused")
    assert "light-0-head was refused" in _message(cluster, namespace)
    cluster.apply(swarm(namespace, nodes=1, template={"head": {"spec": {"restartPolicy": None}}}))
    cluster.patch(namespace, "swarm", "light", {"spec": {"template": {"head": {"spec": None}}}})
    until(lambda: cluster.get(namespace, "pod", POD), 20, "the corrected pod")


def _webhook(namespace: str) -> dict[str, Any]:
    """A webhook that nobody answers, asked of the namespace's ConfigMaps."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": namespace},
        "webhooks": [
            {
                "name": "away.example.com",
                "clientConfig": {"url": "https://127.0.0.1:9/x"},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["services"], "operations": ["*"]}],
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }


def test_names_a_webhook_that_does_not_answer(cluster: ControlPlane, namespace: str, start: Starter) -> None:
    cluster.apply(_webhook(namespace))
    try:
        start()
        cluster.apply(swarm(namespace, nodes=1))
        until(lambda: _reason(cluster, namespace, "swarm", "light", "Degraded", "AdmissionDenied"), 30, "the webhook")
        assert "away.example.com" in _message(cluster, namespace)
    finally:
        cluster.kubectl("delete", "validatingwebhookconfiguration", namespace)
    until(lambda: cluster.get(namespace, "pod", POD), 40, "the pod, once nobody refuses")


def test_names_a_quota_on_objects(cluster: ControlPlane, namespace: str, start: Starter) -> None:
    hard = {"count/services": "0"}
    metadata = {"name": "few", "namespace": namespace}
    cluster.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}})
    start()
    cluster.apply(swarm(namespace, nodes=1))
    until(lambda: _reason(cluster, namespace, "swarm", "light", "Degraded", "QuotaExceeded"), 30, "the quota")
    assert "Service light-0-head was refused" in _message(cluster, namespace)


def _message(cluster: ControlPlane, namespace: str) -> str:
    return (cluster.condition(namespace, "swarmnode", "light-0", "Degraded") or {}).get("message", "")


def test_names_what_a_lone_node_lacks(cluster: ControlPlane, namespace: str, start: Starter) -> None:
    start()
    model = {"image": None, "claim": "models"}
    join = {"name": None, "join": {"swarmId": "0x" + "ab" * 32, "credentials": "creds"}}
    cluster.apply(node(namespace, model=model, swarm=join))
    until(lambda: "PersistentVolumeClaim models" in _message(cluster, namespace), 20, "the claim")
    assert "Secret creds with key nats.creds does not exist" in _message(cluster, namespace)
    pod = until(lambda: cluster.get(namespace, "pod", POD), 10, "the pod, which waits for them")
    assert {"name": "model", "persistentVolumeClaim": {"claimName": "models", "readOnly": True}} in pod["spec"][
        "volumes"
    ]


class Worker:
    """Answers /status as the containers of a head pod do, on a loopback address of its own."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.reports: dict[int, Model | bytes] = {}
        self._servers = [self._serve(port) for port in (TRAINER_PORT, ATTESTOR_PORT)]

    def _serve(self, port: int) -> ThreadingHTTPServer:
        worker = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                report = worker.reports.get(port)
                body = report.model_dump_json(by_alias=True).encode() if isinstance(report, Model) else report
                self.send_response(200 if body else 503)
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer((self.address, port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def stop(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


@pytest.fixture
def worker() -> Iterator[Callable[[str], Worker]]:
    """Starts such workers."""
    started: list[Worker] = []

    def start(address: str) -> Worker:
        started.append(Worker(address))
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.mark.usefixtures("light")
def test_shows_what_pods_say_and_frees_them_when_all_is_done(
    cluster: ControlPlane, namespace: str, worker: Callable[[str], Worker]
) -> None:
    head = worker("127.0.9.1")
    head.reports[TRAINER_PORT] = NodeReport(phase=Phase.STARTING, message="loading the model", rounds=24)
    cluster.run_pod(namespace, POD, head.address)
    ready = until(lambda: _reason(cluster, namespace, "swarm", "light", "Ready", "Starting"), 20, "starting")
    assert (ready["status"], "loading the model" in ready["message"]) == ("False", True)

    held_out = HeldOutReport(items=32, before=0.07, latest=0.51, exact_before=0.03, exact_latest=0.44, round=16)
    training = NodeReport(
        phase=Phase.TRAINING, round=17, rounds=24, reward=0.625, held_out=held_out, tokens=9000, groups_taken=5
    )
    head.reports[TRAINER_PORT] = training
    until(lambda: _reason(cluster, namespace, "swarm", "light", "Ready", "Training"), 20, "training")
    status = (cluster.get(namespace, "swarmnode", "light-0") or {})["status"]
    assert (status["round"], status["reward"], status["tokens"], status["groupsTaken"]) == (17, "0.6250", 9000, 5)
    assert status["heldOut"]["latest"] == "0.5100"
    until(lambda: _swarm(cluster, namespace)["heldOutReward"] == "0.5100", 10, "the Swarm's mean")
    assert _swarm(cluster, namespace)["readyNodes"] == 1

    cluster.run_pod(namespace, POD, head.address, ready=False)
    until(lambda: _reason(cluster, namespace, "swarm", "light", "Ready", "PodNotReady"), 10, "not Ready any more")
    cluster.run_pod(namespace, POD, head.address)

    head.reports[TRAINER_PORT] = training.model_copy(update={"phase": Phase.COMPLETE, "round": 24})
    until(lambda: _reason(cluster, namespace, "swarm", "light", "Complete", "RoundsComplete"), 20, "complete")
    until(lambda: _sts(cluster, namespace) == 0, 10, "no head pod wanted")
    until(lambda: _reason(cluster, namespace, "swarm", "light", "Ready", "RoundsComplete"), 10, "no longer Ready")
    until(lambda: not cluster.items(namespace, "pods"), 10, "no pods")
    assert (cluster.get(namespace, "swarmnode", "light-0") or {})["status"]["heldOut"]["latest"] == "0.5100"

    cluster.apply(swarm(namespace, nodes=1, rounds=48, template=UNJUDGED))
    until(lambda: _sts(cluster, namespace) == 1, 20, "more rounds bring the head back")
    until(lambda: _reason(cluster, namespace, "swarm", "light", "Complete", "RoundsRemain"), 20, "not complete")


def _swarm(cluster: ControlPlane, namespace: str) -> dict[str, Any]:
    return (cluster.get(namespace, "swarm", "light") or {})["status"]


def _sts(cluster: ControlPlane, namespace: str) -> int | None:
    live = cluster.get(namespace, "sts", "light-0-head")
    return live["spec"]["replicas"] if live else None


@pytest.mark.usefixtures("light")
def test_a_failed_trainer_and_a_stuck_attestor_are_told(
    cluster: ControlPlane, namespace: str, worker: Callable[[str], Worker]
) -> None:
    head = worker("127.0.9.2")
    head.reports[TRAINER_PORT] = NodeReport(phase=Phase.FAILED, message="loss is NaN in round 3: lower learningRate")
    head.reports[ATTESTOR_PORT] = AttestorReport(node_id="0x" + "1" * 40, address="0x" + "1" * 40)
    cluster.run_pod(namespace, POD, head.address)
    degraded = until(lambda: _reason(cluster, namespace, "swarm", "light", "Degraded", "LossNotFinite"), 20, "failed")
    assert "loss is NaN" in degraded["message"]


@pytest.mark.usefixtures("light")
def test_garbage_from_a_pod_is_ignored(cluster: ControlPlane, namespace: str, worker: Callable[[str], Worker]) -> None:
    head = worker("127.0.9.3")
    head.reports[TRAINER_PORT] = b'{"phase": "Complete", "round": "many"}'
    head.reports[ATTESTOR_PORT] = b"x" * 200_000
    cluster.run_pod(namespace, POD, head.address)
    until(lambda: _reason(cluster, namespace, "swarm", "light", "Ready", "Training"), 20, "ready by its pod alone")
    assert _swarm(cluster, namespace)["round"] == 0
