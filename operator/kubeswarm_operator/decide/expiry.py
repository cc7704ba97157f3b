"""When what is finished is deleted."""

from collections.abc import Iterable
from datetime import datetime

from kubeswarm_api.conditions import Condition, ConditionType


def expires_in(ttl: int | None, conditions: Iterable[Condition], now: datetime) -> float | None:
    """Seconds until a Swarm or a Node is to be deleted, 0 or less: now; None: it isn't finished, or stays."""
    ended = [
        datetime.fromisoformat(condition.last_transition_time)
        for condition in conditions
        if condition.type in (ConditionType.COMPLETE, ConditionType.FAILED) and condition.status == "True"
    ]
    if ttl is None or not ended:
        return None
    return ttl - (now - min(ended)).total_seconds()
