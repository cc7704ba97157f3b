"""How long a status may wait for what will change it again anyway: each one that isn't written is a request saved."""

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
#: Why something isn't Ready that will be: what ends it, Ready or a failure, is told at once.
_COMING = (Reason.CREATING, Reason.STARTING, Reason.POD_NOT_READY)
#: Seconds that is waited for more: while pods come, so that a start without trouble is told once, yet before the half
#: minute after which people begin to wonder; and while they run.
COMING_SECONDS, PROGRESS_SECONDS = 25.0, 5.0


def patience(before: NodeStatus | SwarmStatus, after: NodeStatus | SwarmStatus) -> float:
    """Seconds that a status waits for more to be told with it; 0: somebody waits for it."""
    if pressing(before, after):
        return 0.0
    coming = any(each.type == ConditionType.READY and each.reason in _COMING for each in after.conditions)
    return COMING_SECONDS if coming else PROGRESS_SECONDS


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
    if old is None or old.status == "Unknown":  # nothing was said of it yet, or by the API server alone
        return new.status == "True"
    if new.type == ConditionType.DEGRADED and new.status == "True":
        return (old.status, old.reason) != (new.status, new.reason)
    return old.status != new.status
