"""What a person looks at first when a stage failed: events, pods that are not well, their last lines."""

import json
from collections.abc import Iterator
from typing import Any

from hack.console import Problem
from hack.demo.target import Target

EVENTS = 15
LINES = 15


def diagnosis(target: Target, *namespaces: str) -> Iterator[str]:
    """Lines to print. Never raises: what can't be had is said."""
    for namespace in namespaces:
        try:
            yield f"-- last events in {namespace}"
            yield from _tail(target.run_kubectl("-n", namespace, "get", "events", "--sort-by=.lastTimestamp"), EVENTS)
            pods = json.loads(target.run_kubectl("-n", namespace, "get", "pods", "--output=json"))["items"]
            for pod in pods:
                yield from _pod(target, namespace, pod)
        except Problem as problem:
            yield f"   {problem}"


def _pod(target: Target, namespace: str, pod: dict[str, Any]) -> Iterator[str]:
    name, status = pod["metadata"]["name"], pod["status"]
    states = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
    unwell = [state["name"] for state in states if not state["ready"] and not _finished(state)]
    if status["phase"] == "Succeeded" or (not unwell and status["phase"] == "Running"):
        return
    yield f"-- pod {namespace}/{name} is {status['phase']}; not ready: {', '.join(unwell) or 'no container yet'}"
    for container in unwell:
        try:
            log = target.run_kubectl("-n", namespace, "logs", name, "--container", container, f"--tail={LINES}")
        except Problem as problem:
            log = str(problem)
        yield from (f"   {container}: {line}" for line in log.splitlines()[-LINES:])


def _finished(state: dict[str, Any]) -> bool:
    return state["state"].get("terminated", {}).get("exitCode") == 0


def _tail(text: str, count: int) -> list[str]:
    return [f"   {line}" for line in text.splitlines()[-count:]]
