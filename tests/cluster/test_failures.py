"""What pods and objects suffer becomes a reason and a message within 30 s; how long it took is in pytest's summary."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kubeswarm_api.conditions import Reason
from kubeswarm_api.failures import FAILURES
from tests.cluster.conftest import Starter
from tests.cluster.control_plane import ControlPlane, until
from tests.cluster.manifests import POD, node, swarm
from tests.cluster.told import Told


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
        "model",
        "trainer",
        _crashed(1, "InvalidConfig: /model holds no config.json: mount a model directory there"),
        "ModelNotFound",
        (POD, "holds no config.json", "spec.model"),
    ),
    (
        "loss",
        "trainer",
        _crashed(1, "FloatingPointError: the loss is NaN in round 3"),
        "LossNotFinite",
        (POD, "NaN in round 3", "algorithm.learningRate"),
    ),
    (
        "environment",
        "trainer",
        _crashed(1, "EnvironmentError: the environment died with exit code 3"),
        "EnvironmentFailed",
        (POD, "exit code 3", "spec.environment"),
    ),
]


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize(("symptom", "container", "status", "reason", "words"), SYMPTOMS, ids=[s[0] for s in SYMPTOMS])
def test_names_what_a_container_suffers(
    cluster: ControlPlane,
    namespace: str,
    told: Told,
    symptom: str,
    container: str,
    status: dict[str, Any],
    reason: str,
    words: tuple[str, ...],
) -> None:
    whole = {"name": container, "image": "x", "imageID": "", "ready": False, "restartCount": 0, **status}
    field = "initContainerStatuses" if container == "attestor" else "containerStatuses"
    scheduled = [{"type": "PodScheduled", "status": "True"}]
    told.cause()
    cluster.set_pod(namespace, POD, {"phase": "Pending", field: [whole], "conditions": scheduled})
    for kind, name in (("swarmnode", "light-0"), ("swarm", "light")):
        degraded = told.told(
            lambda k=kind, n=name: cluster.reason(namespace, k, n, "Degraded", reason), f"{reason} on the {kind}"
        )
        assert degraded["status"] == "True"
        for word in words:
            assert word in degraded["message"]
        ready = cluster.condition(namespace, kind, name, "Ready")
        assert ready and (ready["status"], ready["reason"]) == ("False", reason)
    shown = described(cluster, namespace, "light")
    for word in (*words, reason, POD, FAILURES[Reason(reason)].remedy):
        assert word in shown
    until(lambda: cluster.warned(namespace, reason) == {"Node", "Swarm"}, 10, "Events on both")
    cluster.run_pod(namespace, POD, "127.0.9.9")
    until(lambda: cluster.reason(namespace, "swarm", "light", "Degraded", "AsExpected"), 30, "healthy again")


def described(cluster: ControlPlane, namespace: str, name: str) -> str:
    """What `kubectl swarm describe` prints: kubectl finds the command in its PATH."""
    scripts = str(Path(sys.executable).parent)
    environment = {"PATH": f"{scripts}:/usr/bin:/bin", "KUBECONFIG": str(cluster.kubeconfig), "HOME": "/nonexistent"}
    command = [str(cluster.state / "bin" / "kubectl"), "swarm", "describe", name, "--namespace", namespace]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


@pytest.mark.usefixtures("light")
def test_names_a_volume_that_is_not_mounted(cluster: ControlPlane, namespace: str, told: Told) -> None:
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
    told.cause()
    cluster.apply(event)
    told.told(lambda: cluster.reason(namespace, "swarm", "light", "Degraded", "SecretNotFound"), "SecretNotFound")
    assert 'secret "absent" not found' in _message(cluster, namespace)


def test_names_a_refused_pod(cluster: ControlPlane, namespace: str, start: Starter, told: Told) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small", "namespace": namespace},
        "spec": {"hard": {"requests.memory": "1Gi"}},
    }
    cluster.apply(quota)
    start()
    told.cause()
    cluster.apply(swarm(namespace, nodes=1, rollout={"workers": 1}))
    for word in ("head pod was refused", "exceeded quota", "raise the namespace's ResourceQuota"):
        told.told(lambda word=word: word in _message(cluster, namespace), word)
    told.told(lambda: "light-0-rollout" in _message(cluster, namespace), "the Deployment's refusal")
    told.told(lambda: cluster.reason(namespace, "swarm", "light", "Degraded", "QuotaExceeded"), "QuotaExceeded")


def test_names_a_pod_security_violation(cluster: ControlPlane, namespace: str, start: Starter, told: Told) -> None:
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    start()
    told.cause()
    cluster.apply(swarm(namespace, nodes=1, template={"head": {"spec": {"hostNetwork": True}}}))
    told.told(lambda: cluster.reason(namespace, "swarm", "light", "Degraded", "PodRefused"), "PodRefused")
    assert "pod security standard" in _message(cluster, namespace)


def test_names_a_template_that_is_refused(cluster: ControlPlane, namespace: str, start: Starter, told: Told) -> None:
    start()
    told.cause()
    cluster.apply(swarm(namespace, nodes=1, template={"head": {"spec": {"restartPolicy": "Sometimes"}}}))
    told.told(lambda: cluster.reason(namespace, "swarm", "light", "Degraded", "ApiRefused"), "ApiRefused")
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


def test_names_a_webhook_that_is_away(cluster: ControlPlane, namespace: str, start: Starter, told: Told) -> None:
    cluster.apply(_webhook(namespace))
    try:
        start()
        told.cause()
        cluster.apply(swarm(namespace, nodes=1))
        told.told(lambda: cluster.reason(namespace, "swarm", "light", "Degraded", "AdmissionDenied"), "AdmissionDenied")
        assert "away.example.com" in _message(cluster, namespace)
    finally:
        cluster.kubectl("delete", "validatingwebhookconfiguration", namespace)
    until(lambda: cluster.get(namespace, "pod", POD), 40, "the pod, once nobody refuses")


def test_names_a_quota_on_objects(cluster: ControlPlane, namespace: str, start: Starter, told: Told) -> None:
    hard = {"count/services": "0"}
    metadata = {"name": "few", "namespace": namespace}
    cluster.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}})
    start()
    told.cause()
    cluster.apply(swarm(namespace, nodes=1))
    told.told(lambda: cluster.reason(namespace, "swarm", "light", "Degraded", "QuotaExceeded"), "QuotaExceeded")
    assert "Service light-0-head was refused" in _message(cluster, namespace)


def _message(cluster: ControlPlane, namespace: str) -> str:
    return (cluster.condition(namespace, "swarmnode", "light-0", "Degraded") or {}).get("message", "")


def test_names_what_a_lone_node_lacks(cluster: ControlPlane, namespace: str, start: Starter, told: Told) -> None:
    start()
    model = {"image": None, "claim": "models"}
    join = {"name": None, "join": {"swarmId": "0x" + "ab" * 32, "credentials": "creds"}}
    told.cause()
    cluster.apply(node(namespace, model=model, swarm=join))
    told.told(lambda: "PersistentVolumeClaim models" in _message(cluster, namespace), "ClaimNotFound")
    assert "Secret creds with key nats.creds does not exist" in _message(cluster, namespace)
    pod = until(lambda: cluster.get(namespace, "pod", POD), 10, "the pod, which waits for them")
    assert {"name": "model", "persistentVolumeClaim": {"claimName": "models", "readOnly": True}} in pod["spec"][
        "volumes"
    ]
