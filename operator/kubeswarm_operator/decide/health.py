"""What is wrong with a Node's pods and objects: one detector a symptom, asked in order of how much it explains.

Each problem has a reason and a message that names the pod and the next step.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from kubeswarm_api.conditions import Reason
from kubeswarm_api.reports import Phase
from kubeswarm_operator.observe.snapshot import NodeSnapshot
from kubeswarm_operator.resources import Object

#: A pod that isn't scheduled yet is no problem before this.
SCHEDULING_GRACE = timedelta(seconds=3)
#: A claim that isn't bound yet is no problem before this.
BINDING_GRACE = timedelta(seconds=15)
#: A container that has crashed several times counts as crash-looping for so long after the last time.
CRASH_MEMORY = timedelta(minutes=2)
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
        yield Problem(Reason.POD_REFUSED, f"the head pod was refused: {message[:_TAIL]}; {_refusal_remedy(message)}")
    for (kind, name), live in snapshot.children.items():
        if kind != "Deployment":
            continue
        for condition in live.get("status", {}).get("conditions") or []:
            if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
                message = condition.get("message", "")
                yield Problem(
                    Reason.POD_REFUSED,
                    f"a pod of Deployment {name} was refused: {message[:_TAIL]}; {_refusal_remedy(message)}",
                )


def _refusal_remedy(message: str) -> str:
    if "exceeded quota" in message or "quota" in message:
        return "raise the namespace's ResourceQuota, or lower the requests in spec.template"
    if "PodSecurity" in message:
        return "remove what violates the namespace's pod security standard from spec.template"
    return "change spec.template, or the policy that refuses it"


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
            yield Problem(
                Reason.POD_NOT_READY,
                f"pod {_name(pod)} failed: {status['reason']}: {status.get('message', '')[:_TAIL]}; it is replaced; if "
                "that repeats, change its requests in spec.template",
            )


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
    looping = (state.get("waiting") or {}).get("reason") == "CrashLoopBackOff"
    if looping or (down and restarts) or (recently and restarts > 1):
        said = _last_words(last.get("message") or "")
        return Problem(
            Reason.CRASH_LOOP,
            f"{where} ended with exit code {last['exitCode']} (restarts: {restarts}){said}; see `kubectl logs "
            f"{_name(pod)} -c {status['name']} --previous`",
        )
    return None


def _last_words(message: str) -> str:
    """The last line of what a container said, out of a JSON log line's traceback if it is one."""
    lines = message.replace("\\n", "\n").strip().splitlines()
    words = lines[-1].strip().rstrip('"}').strip()[-_TAIL:] if lines else ""
    return f"; it said: {words}" if words else ""


def _trainer(snapshot: NodeSnapshot) -> Iterator[Problem]:
    report = snapshot.reports.trainer
    if report is not None and report.phase == Phase.FAILED:
        yield Problem(Reason.TRAINER_FAILED, report.message or "the trainer failed and gave no reason: see its log")


DETECTORS: tuple[Callable[[NodeSnapshot], Iterator[Problem]], ...] = (
    _missing,
    _refused,
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
