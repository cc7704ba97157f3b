"""Every failure has a reason, and a message that names the pod, the next step, and what the container said last."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_api.conditions import Condition, Reason
from kubeswarm_api.failures import FAILURES
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


def _looping(log: str) -> NodeSnapshot:
    ended = {"exitCode": 3, "reason": "Error", "message": log}
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}}
    return _snapshot({"state": waiting, "lastState": {"terminated": ended}, "restartCount": 4})


def _failing(message: str) -> dict[str, Any]:
    """A Deployment whose controller can't make a pod."""
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    return {"kind": "Deployment", "metadata": {"name": "light-0-rollout"}, "status": {"conditions": [condition]}}


def _claim(phase: str) -> dict[str, Any]:
    return {"kind": "PersistentVolumeClaim", "metadata": {"name": "light-0-data"}, "status": {"phase": phase}}


def _logged(cause: str) -> NodeSnapshot:
    """As the trainer ends: a JSON line with a cause and a traceback."""
    entry = {"level": "error", "message": "trainer failed", "cause": cause, "error": f"Traceback:\n  x\n{cause}"}
    return _ended(json.dumps({"message": "round 3 begins"}) + "\n" + json.dumps(entry))


def _unscheduled(message: str) -> NodeSnapshot:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    body = pod(POD, ready=False)
    return node_snapshot(pods=({**body, "status": {"phase": "Pending", "conditions": [condition]}},))


def _gated(*gates: str) -> NodeSnapshot:
    condition = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "gates"}
    body = {**pod(POD, ready=False), "spec": {"schedulingGates": [{"name": name} for name in gates]}}
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
SYMPTOMS: list[tuple[str, NodeSnapshot, Reason, tuple[str, ...]]] = [
    ("image", _waiting("ErrImagePull", "not found"), Reason.IMAGE_PULL_FAILED, (POD, "worker:v1", "pull secrets")),
    (
        "nowhere to run",
        _unscheduled("0/3 nodes are available: 3 Insufficient nvidia.com/gpu"),
        Reason.UNSCHEDULABLE,
        (POD, "3 Insufficient nvidia.com/gpu", "spec.template"),
    ),
    (
        "a queue",
        _gated("kueue.x-k8s.io/admission"),
        Reason.SCHEDULING_GATED,
        (POD, "kueue.x-k8s.io/admission", "kubectl describe workloads"),
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
        ("head pod was refused", "hostNetwork", "pod security standard"),
    ),
    (
        "webhook",
        node_snapshot(pods=(), refusals=('admission webhook "p.example" denied the request: no team label',)),
        Reason.ADMISSION_DENIED,
        ("p.example", "no team label", "webhook or policy that refuses it"),
    ),
    (
        "webhook that can't be asked",
        node_snapshot(pods=(), refusals=('Internal error occurred: failed calling webhook "p.example": refused',)),
        Reason.ADMISSION_DENIED,
        ("failed calling webhook", "mend or change the webhook"),
    ),
    (
        "policy",
        node_snapshot(
            pods=(), refusals=("pods \"x\" is forbidden: ValidatingAdmissionPolicy 'team' denied request: no label",)
        ),
        Reason.ADMISSION_DENIED,
        ("'team'", "no label"),
    ),
    (
        "rollout pod refused",
        node_snapshot(children={("Deployment", "light-0-rollout"): _failing('exceeded quota: "small"')}),
        Reason.QUOTA_EXCEEDED,
        ("light-0-rollout", "small", "raise the namespace's ResourceQuota"),
    ),
    (
        "memory",
        _ended("round 3 begins", 137, "OOMKilled"),
        Reason.OUT_OF_MEMORY,
        (POD, "it said: round 3 begins", "memory limit", "tokensPerMicroBatch"),
    ),
    ("memory of the GPU", _logged("OutOfMemoryError: CUDA out of memory"), Reason.OUT_OF_MEMORY, (POD, "CUDA out of")),
    ("evicted for memory", _evicted("The node was low on resource: memory."), Reason.OUT_OF_MEMORY, (POD, "Evicted")),
    ("lost machine", _lost(), Reason.NODE_LOST, (POD, "machine-7", "kubectl get node machine-7")),
    ("machine that begins nothing", _not_begun(30), Reason.NODE_LOST, (POD, "machine-7", "kubectl get node machine-7")),
    ("pod on a lost machine", _never_ends(), Reason.NODE_LOST, (POD, "machine-7", "kubectl delete node machine-7")),
    (
        "Secret of the template",
        _waiting("CreateContainerConfigError", 'secret "mine" not found'),
        Reason.SECRET_NOT_FOUND,
        (POD, 'secret "mine" not found', "create it"),
    ),
    (
        "command of the template",
        _waiting("RunContainerError", 'exec: "pyton": executable file not found in $PATH'),
        Reason.CONTAINER_CONFIG_ERROR,
        (POD, "pyton", "spec.template"),
    ),
    (
        "Secret of a volume",
        node_snapshot(stuck=((POD, 'MountVolume.SetUp failed for volume "v" : secret "absent" not found'),)),
        Reason.SECRET_NOT_FOUND,
        (POD, "absent", "create it"),
    ),
    (
        "ConfigMap of the environment",
        node_snapshot(stuck=((POD, 'MountVolume.SetUp failed for volume "e" : configmap "rows" not found'),)),
        Reason.CONFIG_MAP_NOT_FOUND,
        (POD, "rows", "spec.environment"),
    ),
    (
        "claim of the template",
        _unscheduled('0/1 nodes are available: persistentvolumeclaim "absent" not found.'),
        Reason.CLAIM_NOT_FOUND,
        (POD, "absent", "create it"),
    ),
    (
        "claim without a volume",
        _unscheduled("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
        Reason.CLAIM_PENDING,
        (POD, "unbound", "storageClassName"),
    ),
    (
        "claim with a lost volume",
        node_snapshot(children={("PersistentVolumeClaim", "light-0-data"): _claim("Lost")}),
        Reason.CLAIM_LOST,
        ("light-0-data", "restore the volume"),
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
    (
        "loss, told by the trainer",
        _said("loss is NaN in round 3"),
        Reason.LOSS_NOT_FINITE,
        (POD, "round 3", "learningRate"),
    ),
    ("volume", _logged("OSError: [Errno 28] No space left on device"), Reason.VOLUME_FULL, (POD, "spec.storage.size")),
    (
        "disk of the machine",
        _evicted("Pod ephemeral local storage usage exceeds the total limit of containers 1Gi."),
        Reason.VOLUME_FULL,
        (POD, "ephemeral", "limits in spec.template"),
    ),
    ("something else", _said("no idea"), Reason.TRAINER_FAILED, (POD, "no idea", "see its message and its log")),
    (
        "crash of no known cause",
        _looping("ValueError: an odd number"),
        Reason.CRASH_LOOP,
        (POD, "it said: ValueError: an odd number", "kubectl logs light-0-head-0 -c trainer --previous"),
    ),
]


@pytest.mark.parametrize(("symptom", "snapshot", "reason", "words"), SYMPTOMS, ids=[each[0] for each in SYMPTOMS])
def test_every_failure_is_told(symptom: str, snapshot: NodeSnapshot, reason: Reason, words: tuple[str, ...]) -> None:
    found = problems(snapshot)
    assert [each.reason for each in found] == [reason]
    for word in words:
        assert word in found[0].message


def test_every_reason_of_a_failure_has_a_meaning_and_a_next_step() -> None:
    """Reasons that aren't in the table are those of what is well, under way, or as its user wants it."""
    well = {
        "Training", "RoundsComplete", "StoppedEarly", "AsExpected", "Synced", "Connected", "NotConfigured", "Pending",
        "Creating", "Queued", "Starting", "Scaling", "RollingOut", "UpdatePending", "UpdatePaused", "RoundsRemain",
        "Attesting", "Registering", "Suspended", "Deleting",
    }  # fmt: skip
    assert {str(reason) for reason in Reason} == well | {str(reason) for reason in FAILURES}
    assert all(failure.meaning.endswith(".") and failure.remedy for failure in FAILURES.values())


def test_messages_fit_a_condition() -> None:
    """However long what others say is."""
    long = "x" * 100_000
    for snapshot in (
        _unscheduled(long),
        _evicted(long),
        _said(long[:4096]),
        _looping(long),
        _waiting("ErrImagePull", long),
    ):
        for found in problems(snapshot):
            Condition(type="Degraded", status="True", reason=found.reason, message=found.message[:2048],
                      last_transition_time="x")  # fmt: skip
            assert FAILURES[found.reason].remedy in found.message[:2048], "the next step isn't cut off"


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
