"""Containers that don't start or keep ending, and pods that their kubelet gave up."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from kubeswarm_api.conditions import Reason
from kubeswarm_operator.decide.crash import cause_of, last_words
from kubeswarm_operator.decide.health.problem import QUOTED, Problem, name_of, problem
from kubeswarm_operator.decide.health.references import named_in
from kubeswarm_operator.observe.snapshot import NodeSnapshot, container_statuses
from kubeswarm_operator.resources import Object

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


def containers(snapshot: NodeSnapshot) -> Iterator[Problem]:
    """One problem a container, and one a pod that was given up."""
    for pod in snapshot.pods:
        if "deletionTimestamp" in pod["metadata"]:
            continue
        status = pod.get("status", {})
        for container in container_statuses(status):
            found = _container(snapshot.now, pod, container)
            if found:
                yield found
        if status.get("phase") == "Failed" and status.get("reason"):
            yield _given_up(pod, status)


def _container(now: datetime, pod: Object, status: Object) -> Problem | None:
    waiting = (status.get("state") or {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")[:QUOTED]
    where = f"container {status['name']} of pod {name_of(pod)}"
    if reason in _PULL_REASONS:
        image = status.get("image", "")
        return problem(Reason.IMAGE_PULL_FAILED, f"{where}: an image can't be pulled ({image}): {message or reason}")
    if reason in _CONFIG_REASONS:
        kind = named_in(message) or Reason.CONTAINER_CONFIG_ERROR
        return problem(kind, f"{where} can't be started: {reason}: {message}")
    return _crash(now, pod, status, where)


def _crash(now: datetime, pod: Object, status: Object, where: str) -> Problem | None:
    """A container that keeps ending, or of a cause that is known. One crash is for the kubelet to mend."""
    state = status.get("state") or {}
    last = state.get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
    if last.get("exitCode", 0) == 0:
        return None
    restarts, ended = status.get("restartCount", 0), last.get("finishedAt")
    recently = ended is not None and now - datetime.fromisoformat(ended) < CRASH_MEMORY
    down = "running" not in state
    said = last.get("message") or ""
    killed = last.get("reason") == "OOMKilled"
    cause = Reason.OUT_OF_MEMORY if killed else cause_of(said)
    looping = (state.get("waiting") or {}).get("reason") == "CrashLoopBackOff"
    if looping or (down and restarts) or (recently and restarts > 1) or (cause and (down or recently)):
        how = "ran out of memory and was killed" if killed else f"ended with exit code {last['exitCode']}"
        words = last_words(said)
        what = f"{where} {how} (restarts: {restarts}){f'; it said: {words}' if words else ''}"
        logs = f"`kubectl logs {name_of(pod)} -c {status['name']} --previous`"
        return problem(cause or Reason.CRASH_LOOP, f"{what}; see {logs}")
    return None


def _given_up(pod: Object, status: Object) -> Problem:
    """A pod that its kubelet gave up, such as one that was evicted."""
    message, reason = status.get("message", ""), Reason.POD_NOT_READY
    if "ephemeral" in message or "disk" in message:
        reason = Reason.VOLUME_FULL
    elif "memory" in message:
        reason = Reason.OUT_OF_MEMORY
    what = f"pod {name_of(pod)} failed: {status['reason']}: {message[:QUOTED]}; it is replaced"
    words = last_words(next(filter(None, map(_last_message, status.get("containerStatuses") or [])), ""))
    return problem(reason, f"{what}{f'; it said: {words}' if words else ''}")


def _last_message(status: Object) -> str:
    return ((status.get("state") or {}).get("terminated") or {}).get("message") or ""
