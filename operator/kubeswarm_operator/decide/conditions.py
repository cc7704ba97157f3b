"""Conditions from claims: the time of the last transition is kept while a condition's status stays."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from kubeswarm_api.conditions import Condition, ConditionType, Reason

_MESSAGE = 2048


@dataclass(frozen=True)
class Claim:
    """What a rule says of one condition now."""

    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


def holds(kind: ConditionType, known: Iterable[Condition]) -> bool:
    """Whether a condition is said to be True."""
    return any(condition.type == kind and condition.status == "True" for condition in known)


def unchanged(kind: ConditionType, before: Iterable[Condition]) -> Claim:
    """What was said before, for a rule that has nothing to go by yet: a restart of the operator is no news."""
    for old in before:
        if old.type == kind:
            return Claim(kind, old.status, old.reason, old.message)
    return Claim(kind, "Unknown", Reason.STARTING, "not known yet")


def conditions(claims: Iterable[Claim], before: Iterable[Condition], generation: int, now: datetime) -> list[Condition]:
    """The claims as conditions, in the same order."""
    known = {condition.type: condition for condition in before}
    stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    out: list[Condition] = []
    for claim in claims:
        old = known.get(claim.type)
        since = old.last_transition_time if old is not None and old.status == claim.status else stamp
        out.append(
            Condition(
                type=claim.type,
                status=claim.status,
                reason=str(claim.reason)[:64],
                message=claim.message[:_MESSAGE],
                observed_generation=generation,
                last_transition_time=since,
            )
        )
    return out
