"""Every failure has a reason, and a message that names the pod, the next step, and what the container said last."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_api.conditions import Reason
from kubeswarm_api.reports import NodeReport, Phase
from kubeswarm_operator.decide.crash import LAST_CHARACTERS, cause_of, last_words
from kubeswarm_operator.decide.health import problems
from kubeswarm_operator.observe.snapshot import NodeSnapshot, Reports
from tests.unit.operator.things import NOW, node_snapshot, pod

POD = "light-0-head-0"


def _snapshot(container: dict[str, Any], name: str = "trainer", **status: Any) -> NodeSnapshot:
    whole = {"name": name, "image": "worker:v1", "restartCount": 0, "state": {}, **container}
    return node_snapshot(pods=(pod(POD, ready=False, containerStatuses=[whole], **status),))


def _waiting(reason: str, message: str = "") -> NodeSnapshot:
    return _snapshot({"state": {"waiting": {"reason": reason, "message": message}}})


def _ended(log: str, code: int = 1, reason: str = "Error") -> NodeSnapshot:
    """A container that has ended once; its kubelet starts it again."""
    ended = {"exitCode": code, "reason": reason, "message": log, "finishedAt": NOW.isoformat()}
    return _snapshot({"state": {"running": {}}, "lastState": {"terminated": ended}, "restartCount": 1})


def _logged(cause: str) -> NodeSnapshot:
    """As the trainer ends: a JSON line with a cause and a traceback."""
    entry = {"level": "error", "message": "trainer failed", "cause": cause, "error": f"Traceback:\n  x\n{cause}"}
    return _ended(json.dumps({"message": "round 3 begins"}) + "\n" + json.dumps(entry))


def _unscheduled(message: str) -> NodeSnapshot:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    body = pod(POD, ready=False)
    return node_snapshot(pods=({**body, "status": {"phase": "Pending", "conditions": [condition]}},))


def _lost() -> NodeSnapshot:
    body = pod(POD, ready=False)
    body["spec"] = {"nodeName": "machine-7"}
    body["status"]["conditions"].append({"type": "ContainersReady", "status": "True"})
    return node_snapshot(pods=(body,))


def _never_ends() -> NodeSnapshot:
    body = pod(POD, ready=False)
    body["spec"] = {"nodeName": "machine-7"}
    body["metadata"]["deletionTimestamp"] = (NOW - timedelta(minutes=1)).isoformat()
    return node_snapshot(pods=(body,))


def _not_begun(seconds: int) -> NodeSnapshot:
    at = (NOW - timedelta(seconds=seconds)).isoformat()
    conditions = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": at}]
    body = {**pod(POD), "spec": {"nodeName": "machine-7"}, "status": {"phase": "Pending", "conditions": conditions}}
    return node_snapshot(pods=(body,))


def _evicted(message: str) -> NodeSnapshot:
    body = pod(POD, ready=False)
    return node_snapshot(pods=({**body, "status": {"phase": "Failed", "reason": "Evicted", "message": message}},))


def _said(message: str) -> NodeSnapshot:
    return node_snapshot(reports=Reports(NodeReport(phase=Phase.FAILED, message=message)))


#: (symptom, what is seen, the reason, words of the message: what, where, the next step)
FAILURES: list[tuple[str, NodeSnapshot, Reason, tuple[str, ...]]] = [
    ("image", _waiting("ErrImagePull", "not found"), Reason.IMAGE_PULL_FAILED, (POD, "worker:v1", "pull secrets")),
    (
        "nowhere to run",
        _unscheduled("0/3 nodes are available: 3 Insufficient nvidia.com/gpu"),
        Reason.UNSCHEDULABLE,
        (POD, "3 Insufficient nvidia.com/gpu", "spec.template"),
    ),
    (
        "quota",
        node_snapshot(pods=(), refusals=("exceeded quota: small, requested: requests.memory=3Gi",)),
        Reason.QUOTA_EXCEEDED,
        ("head pod was refused", "requests.memory=3Gi", "raise the namespace's ResourceQuota"),
    ),
    (
        "pod security",
        node_snapshot(pods=(), refusals=('violates PodSecurity "restricted:latest": hostNetwork',)),
        Reason.POD_REFUSED,
        ("hostNetwork", "pod security standard"),
    ),
    (
        "webhook",
        node_snapshot(pods=(), refusals=('admission webhook "p.example" denied the request: no team label',)),
        Reason.POD_REFUSED,
        ("p.example", "no team label", "webhook that refuses it"),
    ),
    ("memory", _ended("", 137, "OOMKilled"), Reason.OUT_OF_MEMORY, (POD, "memory limit", "tokensPerMicroBatch")),
    ("memory of the GPU", _logged("OutOfMemoryError: CUDA out of memory"), Reason.OUT_OF_MEMORY, (POD, "CUDA out of")),
    ("evicted for memory", _evicted("The node was low on resource: memory."), Reason.OUT_OF_MEMORY, (POD, "Evicted")),
    ("lost machine", _lost(), Reason.NODE_LOST, (POD, "machine-7", "kubectl get node machine-7")),
    ("machine that begins nothing", _not_begun(30), Reason.NODE_LOST, (POD, "machine-7", "kubectl get node machine-7")),
    ("pod on a lost machine", _never_ends(), Reason.NODE_LOST, (POD, "machine-7", "kubectl delete node machine-7")),
    (
        "Secret of the template",
        _waiting("CreateContainerConfigError", 'secret "mine" not found'),
        Reason.CONTAINER_CONFIG_ERROR,
        (POD, 'secret "mine" not found', "spec.template"),
    ),
    (
        "Secret of the exchange",
        node_snapshot(missing=(("Secret", "creds"),)),
        Reason.SECRET_NOT_FOUND,
        ("Secret creds", "create it"),
    ),
    (
        "claim of the model",
        node_snapshot(missing=(("PersistentVolumeClaim", "models"),)),
        Reason.CLAIM_NOT_FOUND,
        ("models", "create it"),
    ),
    (
        "model",
        _logged("InvalidConfig: /model holds no config.json: mount a model directory there"),
        Reason.MODEL_NOT_FOUND,
        (POD, "holds no config.json", "spec.model"),
    ),
    (
        "checkpoint",
        _logged("ValueError: model.safetensors does not match the manifest"),
        Reason.CHECKPOINT_DAMAGED,
        (POD, "model.safetensors", "remove the damaged checkpoint"),
    ),
    (
        "environment",
        _logged("EnvironmentError: the environment died with exit code 3"),
        Reason.ENVIRONMENT_FAILED,
        (POD, "exit code 3", "spec.environment"),
    ),
    (
        "loss",
        _logged("FloatingPointError: the loss is NaN in round 3"),
        Reason.LOSS_NOT_FINITE,
        (POD, "round 3", "algorithm.learningRate"),
    ),
    ("loss, told by the trainer", _said("loss is NaN: lower learningRate"), Reason.LOSS_NOT_FINITE, ("learningRate",)),
    ("volume", _logged("OSError: [Errno 28] No space left on device"), Reason.VOLUME_FULL, (POD, "spec.storage.size")),
    (
        "disk of the machine",
        _evicted("Pod ephemeral local storage usage exceeds the total limit of containers 1Gi."),
        Reason.VOLUME_FULL,
        (POD, "ephemeral", "limits in spec.template"),
    ),
    ("something else", _said("no idea"), Reason.TRAINER_FAILED, ("no idea",)),
]


@pytest.mark.parametrize(("symptom", "snapshot", "reason", "words"), FAILURES, ids=[each[0] for each in FAILURES])
def test_every_failure_is_told(symptom: str, snapshot: NodeSnapshot, reason: Reason, words: tuple[str, ...]) -> None:
    found = problems(snapshot)
    assert [each.reason for each in found] == [reason]
    for word in words:
        assert word in found[0].message


@pytest.mark.parametrize(
    "text", ["trained round 3, loss 0.12", "checkpoint written", "the environment has 32 items", "model loaded", ""]
)
def test_no_cause_is_found_in_what_is_well(text: str) -> None:
    assert cause_of(text) is None


def test_a_pod_that_waits_for_its_gates_is_on_no_lost_machine() -> None:
    snapshot = _lost()
    snapshot.pods[0]["status"]["conditions"][0]["reason"] = "ReadinessGatesNotReady"
    assert problems(snapshot) == []


def test_a_kubelet_has_time_to_begin() -> None:
    assert problems(_not_begun(10)) == []


def test_the_last_lines_are_kept() -> None:
    lines = [json.dumps({"message": f"line {n}", "error": "Traceback\n  y\nValueError: no"}) for n in range(9)]
    assert last_words("\n".join(lines)) == "line 6 | ValueError: no | line 7 | line 8"
    assert last_words("plain\nwords") == "plain | words"


@given(st.text(max_size=3000))
def test_any_last_words_are_bounded(text: str) -> None:
    assert len(last_words(text)) <= LAST_CHARACTERS
