"""How long a status may wait for what will change it again anyway: each one that isn't written is a request saved."""

from dataclasses import dataclass

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
#: What others run is away, or doesn't take what it is sent: told soon, and of hundreds of objects at once.
_OUTAGES = (
    Reason.CHAIN_UNREACHABLE,
    Reason.CHAIN_REJECTED,
    Reason.SIGNER_UNREACHABLE,
    Reason.EXCHANGE_UNREACHABLE,
)
#: Why something isn't Ready that will be: what ends it, Ready or a failure, is told at once.
_COMING = (Reason.PENDING, Reason.CREATING, Reason.STARTING, Reason.POD_NOT_READY)


@dataclass(frozen=True)
class Pace:
    """How statuses that nobody waits for are told: each after `seconds`, to tell more with it, `rate` a second of all
    objects', but none later than `longest`."""

    seconds: float
    rate: float
    longest: float


#: While pods come: a start without trouble is told once, yet before the half minute after which people begin to wonder,
#: unless hundreds start at once.
COMING = Pace(seconds=25.0, rate=1.0, longest=300.0)
#: Where an outage begins or ends, which all have in common: each is told of it in good time for the half minute.
OUTAGE = Pace(seconds=1.0, rate=100.0, longest=10.0)
#: While they run.
PROGRESS = Pace(seconds=5.0, rate=5.0, longest=30.0)


def pace(before: NodeStatus | SwarmStatus, after: NodeStatus | SwarmStatus) -> Pace | None:
    """How long a status waits for more to be told with it; None: somebody waits for it."""
    if pressing(before, after):
        return None
    if _outages(before) != _outages(after):
        return OUTAGE
    coming = any(each.type == ConditionType.READY and each.reason in _COMING for each in after.conditions)
    return COMING if coming else PROGRESS


def _outages(status: NodeStatus | SwarmStatus) -> set[str]:
    return {each.reason for each in status.conditions if each.reason in _OUTAGES}


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
