"""What is wrong with a Node's pods and objects: one detector a symptom, asked in order of how much it explains.

Each problem has a reason and a message that names the pod and the next step.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from kubeswarm_api.conditions import Reason
from kubeswarm_api.reports import Phase
from kubeswarm_operator.decide.crash import cause_of, last_words
from kubeswarm_operator.observe.snapshot import NodeSnapshot
from kubeswarm_operator.resources import Object

#: A pod that isn't scheduled yet is no problem before this.
SCHEDULING_GRACE = timedelta(seconds=10)
#: A claim that isn't bound yet is no problem before this.
BINDING_GRACE = timedelta(seconds=15)
#: A container that has crashed several times counts as crash-looping for so long after the last time.
CRASH_MEMORY = timedelta(minutes=2)
#: A pod that should have ended for so long (deletionTimestamp is when its grace period is over) sits on a lost machine.
ENDING_GRACE = timedelta(seconds=20)
#: Seconds that a kubelet may take to say a first word of a pod that was given to it.
BEGINNING_GRACE = timedelta(seconds=20)
_PULL_REASONS = {
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
}
_CONFIG_REASONS = {
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "PreStartHookError",
    "PostStartHookError",
}
_TAIL = 600


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    reason: Reason
    message: str


def problems(snapshot: NodeSnapshot) -> list[Problem]:
    """All problems, the one that explains most first."""
    return [problem for detector in DETECTORS for problem in detector(snapshot)]


def _missing(snapshot: NodeSnapshot) -> Iterator[Problem]:
    for kind, name in snapshot.missing:
        if kind == "Swarm":
            yield Problem(
                Reason.SWARM_NOT_FOUND,
                f"Swarm {name} does not exist in this namespace: create it, or use spec.swarm.join for one elsewhere",
            )
        elif kind == "Secret":
            yield Problem(
                Reason.SECRET_NOT_FOUND,
                f"Secret {name} with key nats.creds does not exist in this namespace: create it with the credentials "
                "that the Swarm's owner gave you",
            )
        else:
            yield Problem(
                Reason.CLAIM_NOT_FOUND,
                f"PersistentVolumeClaim {name} (spec.model.claim) does not exist in this namespace: create it, or "
                "make a Node with another model",
            )


def _refused(snapshot: NodeSnapshot) -> Iterator[Problem]:
    for message in snapshot.refusals:
        yield _refusal("the head pod was refused", message)
    for (kind, name), live in snapshot.children.items():
        if kind != "Deployment":
            continue
        for condition in live.get("status", {}).get("conditions") or []:
            if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
                message = condition.get("message", "")
                yield _refusal(f"a pod of Deployment {name} was refused", message)


def _refusal(what: str, message: str) -> Problem:
    reason, remedy = Reason.POD_REFUSED, "change spec.template, or the policy or webhook that refuses it"
    if "quota" in message:
        reason, remedy = (
            Reason.QUOTA_EXCEEDED,
            "raise the namespace's ResourceQuota, or lower the requests in spec.template",
        )
    elif "PodSecurity" in message:
        remedy = "remove what violates the namespace's pod security standard from spec.template"
    return Problem(reason, f"{what}: {message[:_TAIL]}; {remedy}")


def _stuck(snapshot: NodeSnapshot) -> Iterator[Problem]:
    for pod, message in snapshot.stuck:
        missing = "not found" in message
        reason = Reason.SECRET_NOT_FOUND if missing and "secret" in message else Reason.CONTAINER_CONFIG_ERROR
        yield Problem(
            reason,
            f"pod {pod} does not get started: {message[:_TAIL]}; make what it names, or correct spec.template",
        )


def _unschedulable(snapshot: NodeSnapshot) -> Iterator[Problem]:
    for pod in snapshot.pods:
        for condition in pod.get("status", {}).get("conditions") or []:
            failed = condition["type"] == "PodScheduled" and condition["status"] == "False"
            if failed and condition.get("reason") == "Unschedulable" and _older(snapshot.now, pod, SCHEDULING_GRACE):
                message = condition.get("message", "no node fits")
                if "PersistentVolumeClaim" in message:
                    yield Problem(
                        Reason.CLAIM_PENDING,
                        f"pod {_name(pod)} waits for its volume: {message[:_TAIL]}; see `kubectl describe pvc`; set "
                        "spec.storage.storageClassName to a class with a provisioner, or provide a volume",
                    )
                    continue
                yield Problem(
                    Reason.UNSCHEDULABLE,
                    f"pod {_name(pod)} can't be scheduled: {message[:_TAIL]}; add such nodes or free them, or change "
                    "requests, nodeSelector or tolerations in spec.template",
                )


def _claims(snapshot: NodeSnapshot) -> Iterator[Problem]:
    for (kind, name), live in snapshot.children.items():
        if kind != "PersistentVolumeClaim" or not _older(snapshot.now, live, BINDING_GRACE):
            continue
        phase = live.get("status", {}).get("phase")
        if phase == "Lost":
            yield Problem(
                Reason.CLAIM_PENDING,
                f"claim {name} lost its volume: restore the volume, or delete the Node to start from the base model",
            )
        elif phase == "Pending" and not any(_waits_for_pod(condition) for condition in snapshot.pods):
            storage_class = live.get("spec", {}).get("storageClassName") or "the cluster's default"
            yield Problem(
                Reason.CLAIM_PENDING,
                f"claim {name} is not bound (storage class: {storage_class}): see `kubectl describe pvc {name}`; set "
                "spec.storage.storageClassName to a class with a provisioner, or provide a volume",
            )


def _waits_for_pod(pod: Object) -> bool:
    """A pod that is not scheduled says itself why; its claim may be waiting for it."""
    conditions = pod.get("status", {}).get("conditions") or []
    return any(c["type"] == "PodScheduled" and c["status"] == "False" for c in conditions)


def _containers(snapshot: NodeSnapshot) -> Iterator[Problem]:
    for pod in snapshot.pods:
        if "deletionTimestamp" in pod["metadata"]:
            continue
        status = pod.get("status", {})
        for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
            problem = _container(snapshot.now, pod, container)
            if problem:
                yield problem
        if status.get("phase") == "Failed" and status.get("reason"):
            yield _failed(pod, status)


def _failed(pod: Object, status: Object) -> Problem:
    """A pod that its kubelet gave up, such as one that was evicted."""
    message = status.get("message", "")
    reason = Reason.POD_NOT_READY
    if "ephemeral" in message or "disk" in message:
        reason = Reason.VOLUME_FULL
    elif "memory" in message:
        reason = Reason.OUT_OF_MEMORY
    return Problem(
        reason,
        f"pod {_name(pod)} failed: {status['reason']}: {message[:_TAIL]}; it is replaced; if that repeats, change its "
        "requests and limits in spec.template",
    )


def _lost(snapshot: NodeSnapshot) -> Iterator[Problem]:
    """Pods whose machine is gone: not ready by the control plane's word, while the kubelet's last word was ready."""
    for pod in snapshot.pods:
        node = pod.get("spec", {}).get("nodeName") or "unknown"
        conditions = pod.get("status", {}).get("conditions") or []
        states = {each["type"]: each["status"] for each in conditions}
        gated = any(each.get("reason") == "ReadinessGatesNotReady" for each in conditions)
        silent = states.get("Ready") == "False" and states.get("ContainersReady") == "True" and not gated
        going = pod["metadata"].get("deletionTimestamp")
        overdue = going is not None and snapshot.now - datetime.fromisoformat(going) > ENDING_GRACE
        silent = silent or _not_begun(snapshot.now, pod, conditions)
        if (silent and going is None) or overdue:
            yield Problem(
                Reason.NODE_LOST,
                f"machine {node} of pod {_name(pod)} does not answer: see `kubectl get node {node}`; the pod is "
                f"replaced once the machine is back or gone: `kubectl delete node {node}` says that it is gone for "
                "good",
            )


def _not_begun(now: datetime, pod: Object, conditions: list[Object]) -> bool:
    """Whether a pod has a machine whose kubelet has said nothing of its containers for too long."""
    status = pod.get("status", {})
    if status.get("containerStatuses") or status.get("initContainerStatuses"):
        return False
    scheduled = [
        datetime.fromisoformat(each["lastTransitionTime"])
        for each in conditions
        if each["type"] == "PodScheduled" and each["status"] == "True" and each.get("lastTransitionTime")
    ]
    return any(now - at > BEGINNING_GRACE for at in scheduled)


def _container(now: datetime, pod: Object, status: Object) -> Problem | None:
    state = status.get("state") or {}
    waiting = state.get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")[:_TAIL]
    where = f"container {status['name']} of pod {_name(pod)}"
    if reason in _PULL_REASONS:
        image = status.get("image", "")
        return Problem(
            Reason.IMAGE_PULL_FAILED,
            f"{where}: an image can't be pulled ({image}): {message}; check the names of the worker and model images, "
            "the registry and the pull secrets",
        )
    if reason in _CONFIG_REASONS:
        return Problem(
            Reason.CONTAINER_CONFIG_ERROR,
            f"{where} can't be started: {reason}: {message}; fix what it names in spec.template or the namespace",
        )
    return _crash(now, pod, status, where)


def _crash(now: datetime, pod: Object, status: Object, where: str) -> Problem | None:
    """A container that keeps ending, or was killed for its memory. One crash is for the kubelet to mend."""
    state = status.get("state") or {}
    last = state.get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
    if last.get("exitCode", 0) == 0:
        return None
    restarts = status.get("restartCount", 0)
    ended = last.get("finishedAt")
    recently = ended is not None and now - datetime.fromisoformat(ended) < CRASH_MEMORY
    down = "running" not in state
    if last.get("reason") == "OOMKilled" and (down or recently):
        return Problem(
            Reason.OUT_OF_MEMORY,
            f"{where} ran out of memory and was killed (restarts: {restarts}): raise its memory limit in "
            "spec.template, or lower algorithm.tokensPerMicroBatch or algorithm.prompts",
        )
    said = last.get("message") or ""
    cause = cause_of(said)
    looping = (state.get("waiting") or {}).get("reason") == "CrashLoopBackOff"
    if looping or (down and restarts) or (recently and restarts > 1) or (cause and (down or recently)):
        words = last_words(said)
        remedy = f"; {cause.remedy}" if cause else ""
        return Problem(
            cause.reason if cause else Reason.CRASH_LOOP,
            f"{where} ended with exit code {last['exitCode']} (restarts: {restarts})"
            f"{f'; it said: {words}' if words else ''}{remedy}; see `kubectl logs {_name(pod)} -c {status['name']} "
            "--previous`",
        )
    return None


def _trainer(snapshot: NodeSnapshot) -> Iterator[Problem]:
    report = snapshot.reports.trainer
    if report is not None and report.phase == Phase.FAILED:
        cause = cause_of(report.message)
        message = report.message or "the trainer failed and gave no reason: see its log"
        yield Problem(cause.reason if cause else Reason.TRAINER_FAILED, message)


DETECTORS: tuple[Callable[[NodeSnapshot], Iterator[Problem]], ...] = (
    _missing,
    _refused,
    _lost,
    _containers,
    _stuck,
    _trainer,
    _claims,
    _unschedulable,
)


def _name(body: Object) -> str:
    return body["metadata"]["name"]


def _older(now: datetime, body: Object, age: timedelta) -> bool:
    created = body["metadata"].get("creationTimestamp")
    return created is None or now - datetime.fromisoformat(created) >= age


def pod_ready(pod: Object) -> bool:
    """Whether Kubernetes says that the pod is Ready, and it isn't going."""
    conditions = pod.get("status", {}).get("conditions") or []
    return "deletionTimestamp" not in pod["metadata"] and any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions
    )
