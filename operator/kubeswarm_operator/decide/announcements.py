"""Which changes of an object's conditions are worth an Event."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from kubeswarm_api.conditions import Condition, ConditionType
from kubeswarm_operator.decide.pressing import PRESSING

#: Conditions whose being False (or True) is told as a warning.
_WARN_WHEN = {
    ConditionType.DEGRADED: "True",
    ConditionType.FAILED: "True",
    ConditionType.CHAIN_SYNCED: "False",
    ConditionType.EXCHANGE_READY: "False",
    ConditionType.REWARD_GAMED: "True",
}
#: Conditions whose becoming True (or ceasing to be degraded) is told as news. That pods run is told by Kubernetes.
_NEWS_WHEN = {
    ConditionType.COMPLETE: "True",
    ConditionType.DEGRADED: "False",
}
_QUIET = {"Registering", "Starting", "NotConfigured"}


@dataclass(frozen=True)
class Announcement:
    """An Event to be."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def announcements(before: Iterable[Condition], after: Iterable[Condition]) -> list[Announcement]:
    """Events for what changed. A reason that stays is told once, however its message changes."""
    known = {condition.type: condition for condition in before}
    out: list[Announcement] = []
    for condition in after:
        old = known.get(condition.type)
        if old is not None and (old.status, old.reason) == (condition.status, condition.reason):
            continue
        kind = ConditionType(condition.type)
        wrong = _WARN_WHEN.get(kind) == condition.status and condition.reason not in _QUIET
        if wrong or condition.reason in PRESSING:
            out.append(Announcement("Warning", condition.reason, condition.message))
        elif _NEWS_WHEN.get(kind) == condition.status:
            if kind == ConditionType.DEGRADED and (old is None or old.status != "True"):
                continue
            message = condition.message or f"{kind} is {condition.status}"
            out.append(Announcement("Normal", condition.reason, message))
    return out
