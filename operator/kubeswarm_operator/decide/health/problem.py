"""One thing that is wrong: its reason, and a message that ends with the next step."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from kubeswarm_api.conditions import Reason
from kubeswarm_api.failures import FAILURES
from kubeswarm_operator.resources import Object

#: Characters that a message holds of what another component says.
QUOTED = 600


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    reason: Reason
    message: str


def problem(reason: Reason, what: str, remedy: str | None = None) -> Problem:
    """`what`: what is wrong, with which pod or object. `remedy`: the next step, where the reason's is too general."""
    return Problem(reason, f"{what}; {remedy or FAILURES[reason].remedy}")


def name_of(body: Object) -> str:
    """The object's name."""
    return body["metadata"]["name"]


def older(now: datetime, body: Object, age: timedelta) -> bool:
    """Whether an object was made at least so long ago."""
    created = body["metadata"].get("creationTimestamp")
    return created is None or now - datetime.fromisoformat(created) >= age
