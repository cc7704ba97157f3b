"""Which statuses are written at once, and which may wait for what will change them again anyway."""

from kubeswarm_api.conditions import Condition, ConditionType, Reason
from kubeswarm_api.node import NodeStatus
from kubeswarm_api.swarm import SwarmStatus

#: Conditions whose status somebody waits for.
_AWAITED = (
    ConditionType.READY,
    ConditionType.DEGRADED,
    ConditionType.COMPLETE,
    ConditionType.FAILED,
    ConditionType.REWARD_GAMED,
)
#: Reasons that are told at once, whatever their condition.
PRESSING = (Reason.UPDATE_STALLED, Reason.ROLLED_BACK)


def pressing(before: NodeStatus | SwarmStatus, after: NodeStatus | SwarmStatus) -> bool:
    """Whether somebody waits for it: an answer to an edit, Ready or not any more, complete, something wrong or mended.

    A change of pods is on record before it begins, and its failure before others get it.

    What is left is progress: objects being created, pods on their way, rounds.
    """
    if before.observed_generation not in (0, after.observed_generation):
        return True
    if isinstance(before, NodeStatus) and isinstance(after, NodeStatus) and before.change != after.change:
        return True
    known = {condition.type: condition for condition in before.conditions}
    return any(_news(known.get(condition.type), condition) for condition in after.conditions)


def _news(old: Condition | None, new: Condition) -> bool:
    if new.reason in PRESSING and (old is None or old.reason != new.reason):
        return True
    if new.type not in _AWAITED:
        return False
    if old is None:
        return new.status == "True"
    if new.type == ConditionType.DEGRADED and new.status == "True":
        return (old.status, old.reason) != (new.status, new.reason)
    return old.status != new.status
