"""Whose turn it is to replace its pods, of the Nodes of a Swarm: no more than spec.update says at a time."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kubeswarm_api.conditions import ConditionType
from kubeswarm_api.spec_life import Update
from kubeswarm_operator.decide.children import TEMPLATE_ANNOTATION, differs
from kubeswarm_operator.decide.rolling import rolling
from kubeswarm_operator.resources import Object


@dataclass(frozen=True)
class Member:
    """A Node of the Swarm as the cluster has it: its object, StatefulSet and Deployment, head pods."""

    node: Object
    workloads: tuple[Object, ...]
    heads: tuple[Object, ...]


def changes_pods(live: Mapping[tuple[str, str], Object], wanted: Iterable[Object]) -> bool:
    """Whether a manifest has another template than the live object, of which there may be no pod now."""
    return any(True for _ in _changed(live, wanted))


def replaces_pods(live: Mapping[tuple[str, str], Object], wanted: Iterable[Object]) -> bool:
    """Whether a manifest has another template than the live object, of which there are pods."""
    return any(known["spec"].get("replicas") and new["spec"]["replicas"] for known, new in _changed(live, wanted))


def _changed(live: Mapping[tuple[str, str], Object], wanted: Iterable[Object]) -> Iterator[tuple[Object, Object]]:
    """Live objects with the manifests that have another template."""
    for manifest in wanted:
        template = (manifest.get("spec") or {}).get("template")
        known = live.get((manifest["kind"], manifest["metadata"]["name"]))
        if template is None or known is None:
            continue
        mark = (known["metadata"].get("annotations") or {}).get(TEMPLATE_ANNOTATION)
        if mark is None:  # written by an operator that had no such mark
            if differs(known["spec"]["template"], template):
                yield known, manifest
        elif mark != manifest["metadata"]["annotations"][TEMPLATE_ANNOTATION]:
            yield known, manifest


def has_turn(mine: Member, others: Iterable[Member], update: Update, now: datetime) -> bool:
    """Whether a Node may replace its pods. One that isn't available anyway costs nothing.

    None has it while another went back from the change: that one is first with the next change.
    """
    others = list(others)
    if update.paused or any(map(_went_back, others)):
        return False
    settle = timedelta(seconds=update.min_ready_seconds)
    if unavailable(mine, settle, now):
        return True
    left = update.max_unavailable
    for other in others:
        left -= unavailable(other, settle, now)
        if left <= 0:
            return False
    return True


def _went_back(member: Member) -> bool:
    change = (member.node.get("status") or {}).get("change") or {}
    return bool(change.get("failed"))


def unavailable(member: Member, settle: timedelta, now: datetime) -> bool:
    """Whether a Node should work and doesn't, or hasn't for long enough."""
    status = member.node.get("status") or {}
    conditions: dict[str, str] = {each["type"]: each["status"] for each in status.get("conditions") or []}
    over = "True" in (conditions.get(ConditionType.COMPLETE), conditions.get(ConditionType.FAILED))
    if over or (member.node.get("spec") or {}).get("suspend"):
        return False
    if conditions.get(ConditionType.READY) != "True" or rolling(member.workloads):
        return True
    return not any(ready_for(pod, settle, now) for pod in member.heads)


def ready_for(pod: Object, settle: timedelta, now: datetime) -> bool:
    """Whether a pod is Ready, and has been for so long."""
    conditions: list[dict[str, Any]] = pod.get("status", {}).get("conditions") or []
    ready = next((each for each in conditions if each["type"] == "Ready" and each["status"] == "True"), None)
    if ready is None or "deletionTimestamp" in pod["metadata"]:
        return False
    since = ready.get("lastTransitionTime")
    return since is None or now - datetime.fromisoformat(since) >= settle
