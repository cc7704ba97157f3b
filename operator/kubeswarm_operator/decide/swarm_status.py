"""A Swarm's status: its Nodes' taken together."""

from collections.abc import Sequence
from statistics import fmean

from kubeswarm_api.conditions import Condition, ConditionType, Reason
from kubeswarm_api.names import APP, APP_LABEL, SWARM_LABEL
from kubeswarm_api.node import NodeStatus
from kubeswarm_api.spec_life import Update
from kubeswarm_api.swarm import SwarmStatus
from kubeswarm_operator.decide.advice import without_chain
from kubeswarm_operator.decide.children import controls
from kubeswarm_operator.decide.conditions import Claim, conditions, holds, unchanged
from kubeswarm_operator.decide.health import Problem, problem
from kubeswarm_operator.decide.swarm_nodes import SwarmNodes
from kubeswarm_operator.observe.parsing import parse_status
from kubeswarm_operator.observe.snapshot import SwarmSnapshot
from kubeswarm_operator.resources import Object


def swarm_status(
    snapshot: SwarmSnapshot, swarm_id: str, plan: SwarmNodes, refused: Problem | None = None
) -> SwarmStatus:
    """The whole status. `refused`: what the API server said against a Node."""
    meta = snapshot.live["metadata"]
    nodes = [live for live in snapshot.nodes if controls(meta["uid"], live)]
    nodes.sort(key=lambda live: live.get("spec", {}).get("index", 0))
    statuses = [parse_status(NodeStatus, live) for live in nodes]
    rewards = [float(s.reward) for s in statuses if s.reward is not None]
    unheard = _unheard(nodes, statuses)
    held_out = [float(s.held_out.latest) for s in statuses if s.held_out is not None and s.held_out.latest is not None]
    return SwarmStatus(
        observed_generation=_observed(snapshot, unheard),
        conditions=_conditions(snapshot, swarm_id, plan, nodes, statuses, refused, unheard),
        swarm_id=swarm_id,
        nodes=len(nodes),
        ready_nodes=sum(holds(ConditionType.READY, status.conditions) for status in statuses),
        updated_nodes=sum(not _held(status) for status in statuses),
        complete_nodes=sum(holds(ConditionType.COMPLETE, status.conditions) for status in statuses),
        round=min((status.round for status in statuses), default=0),
        reward=f"{fmean(rewards):.4f}" if rewards else snapshot.status.reward,
        held_out_reward=f"{fmean(held_out):.4f}" if held_out else snapshot.status.held_out_reward,
        attested_rounds=sum(status.attested_rounds for status in statuses),
        participants=snapshot.chain.members.get(swarm_id, snapshot.status.participants),
        selector=f"{APP_LABEL}={APP},{SWARM_LABEL}={meta['name']}",
    )


def _condition(status: NodeStatus, kind: ConditionType) -> Condition | None:
    return next((condition for condition in status.conditions if condition.type == kind), None)


def _reason(status: NodeStatus, kind: ConditionType) -> str | None:
    condition = _condition(status, kind)
    return condition.reason if condition else None


def _conditions(
    snapshot: SwarmSnapshot,
    swarm_id: str,
    plan: SwarmNodes,
    nodes: Sequence[Object],
    statuses: Sequence[NodeStatus],
    refused: Problem | None,
    unheard: bool,
) -> list[Condition]:
    named = [(live["metadata"]["name"], status) for live, status in zip(nodes, statuses, strict=True)]
    claims = [
        _ready(snapshot, plan, named, refused, unheard),
        _progressing(snapshot, plan, named),
        _degraded(snapshot, plan, named, refused),
        _complete(snapshot, plan, named),
        _failed(snapshot, plan, named),
        _chain(snapshot, swarm_id),
        _exchange(snapshot),
        _gamed(named),
    ]
    return conditions(claims, snapshot.status.conditions, _observed(snapshot, unheard), snapshot.now)


def _observed(snapshot: SwarmSnapshot, unheard: bool) -> int:
    """The generation that the status speaks of: the one before while a Node's own word is about an older spec."""
    return snapshot.status.observed_generation if unheard else snapshot.live["metadata"].get("generation", 0)


def _unheard(nodes: Sequence[Object], statuses: Sequence[NodeStatus]) -> bool:
    """Whether a Node's own word is about an older spec of it."""
    return any(
        status.observed_generation not in (0, live["metadata"].get("generation", 0))
        for live, status in zip(nodes, statuses, strict=True)
    )


def _all_are(
    snapshot: SwarmSnapshot, plan: SwarmNodes, named: Sequence[tuple[str, NodeStatus]], *kinds: ConditionType
) -> bool:
    """Whether all Nodes that are wanted are there, and each is one of these."""
    if snapshot.spec is None or snapshot.spec.nodes == 0 or plan.surplus or len(named) != snapshot.spec.nodes:
        return False
    return all(any(holds(kind, status.conditions) for kind in kinds) for _, status in named)


def _all_complete(snapshot: SwarmSnapshot, plan: SwarmNodes, named: Sequence[tuple[str, NodeStatus]]) -> bool:
    return _all_are(snapshot, plan, named, ConditionType.COMPLETE)


def _failed(snapshot: SwarmSnapshot, plan: SwarmNodes, named: Sequence[tuple[str, NodeStatus]]) -> Claim:
    """A Swarm has failed when nothing of it goes on and a Node has failed."""
    kind = ConditionType.FAILED
    bad = [name for name, status in named if holds(kind, status.conditions)]
    if bad and _all_are(snapshot, plan, named, ConditionType.COMPLETE, kind):
        message = f"{len(bad)} of {len(named)} Nodes have failed, {bad[0]} among them; no pods run"
        return Claim(kind, "True", Reason.NODES_FAILED, message)
    return Claim(kind, "False", Reason.AS_EXPECTED, "")


def _ready(
    snapshot: SwarmSnapshot,
    plan: SwarmNodes,
    named: Sequence[tuple[str, NodeStatus]],
    refused: Problem | None,
    unheard: bool,
) -> Claim:
    """`unheard`: a Node's own word is about an older spec of it."""
    kind = ConditionType.READY
    if "deletionTimestamp" in snapshot.live["metadata"]:
        return Claim(kind, "False", Reason.DELETING, "the Swarm is being deleted")
    if snapshot.spec is None:
        return Claim(kind, "False", Reason.INVALID_SPEC, snapshot.invalid)
    if _all_complete(snapshot, plan, named):
        return Claim(kind, "False", Reason.ROUNDS_COMPLETE, "all Nodes have done all rounds; no pods run")
    if snapshot.spec.suspend:
        return Claim(kind, "False", Reason.SUSPENDED, "spec.suspend is true: set it to false to go on")
    if plan.taken:
        return Claim(kind, "False", Reason.NAME_TAKEN, _taken(plan))
    if refused:
        return Claim(kind, "False", refused.reason, refused.message)
    if len(named) < snapshot.spec.nodes:
        return Claim(kind, "False", Reason.CREATING, f"{len(named)} of {snapshot.spec.nodes} Nodes exist")
    for name, status in named:
        ready = _condition(status, ConditionType.READY)
        if holds(ConditionType.COMPLETE, status.conditions):
            continue
        if ready is None:
            return Claim(kind, "False", Reason.CREATING, f"Node {name} has no status yet")
        if ready.status != "True":
            return Claim(kind, "False", ready.reason, f"Node {name}: {ready.message}")
    # What was said may stand meanwhile, as when a Node's spec was edited by hand; but a Swarm does not become ready by
    # words about who knows which spec.
    if unheard and not holds(kind, snapshot.status.conditions):
        return Claim(kind, "False", Reason.CREATING, "a Node has not been looked at since its spec changed")
    return Claim(kind, "True", Reason.TRAINING, "all Nodes are ready or complete")


def _progressing(snapshot: SwarmSnapshot, plan: SwarmNodes, named: Sequence[tuple[str, NodeStatus]]) -> Claim:
    kind = ConditionType.PROGRESSING
    if snapshot.spec is None:
        return Claim(kind, "False", Reason.INVALID_SPEC, snapshot.invalid)
    if _all_complete(snapshot, plan, named):
        return Claim(kind, "False", Reason.ROUNDS_COMPLETE, "nothing is left to do")
    if snapshot.spec.suspend:
        return Claim(kind, "False", Reason.SUSPENDED, "spec.suspend is true")
    if len(named) != snapshot.spec.nodes:
        return Claim(kind, "True", Reason.SCALING, f"{len(named)} Nodes exist, {snapshot.spec.nodes} are wanted")
    update = _updating(snapshot.spec.update, named)
    if update:
        return update
    moving = sum(holds(ConditionType.PROGRESSING, status.conditions) for _, status in named)
    if moving:
        return Claim(kind, "True", Reason.TRAINING, f"{moving} of {len(named)} Nodes make progress")
    queued = sum(_reason(status, kind) == Reason.QUEUED for _, status in named)
    if queued:
        return Claim(kind, "False", Reason.QUEUED, f"{queued} of {len(named)} Nodes wait in their queue")
    return Claim(kind, "False", Reason.NODES_DEGRADED if named else Reason.AS_EXPECTED, "no Node makes progress")


_HOLDING = (Reason.UPDATE_PENDING, Reason.UPDATE_PAUSED, Reason.ROLLED_BACK)


def _held(status: NodeStatus) -> bool:
    """Whether a Node keeps pods of an earlier spec until its turn."""
    progressing = _condition(status, ConditionType.PROGRESSING)
    return progressing is not None and progressing.reason in _HOLDING


def _updating(update: Update, named: Sequence[tuple[str, NodeStatus]]) -> Claim | None:
    """How far a change has come that replaces pods; None: all Nodes have it."""
    kind = ConditionType.PROGRESSING
    held = sum(_held(status) for _, status in named)
    if not held:
        return None
    what = f"{len(named) - held} of {len(named)} Nodes have the changed spec or image"
    for name, status in named:
        progressing = _condition(status, kind)
        if progressing is not None and progressing.reason == Reason.ROLLED_BACK:
            return Claim(kind, "False", Reason.ROLLED_BACK, f"{what}; Node {name}: {progressing.message}")
    if update.paused:
        return Claim(kind, "False", Reason.UPDATE_PAUSED, f"{what}; set spec.update.paused to false to go on")
    for name, status in named:
        degraded = _condition(status, ConditionType.DEGRADED)
        if degraded is not None and degraded.status == "True" and not _held(status):
            stalled = problem(Reason.UPDATE_STALLED, f"{what}, and Node {name} does not get well: {degraded.message}")
            return Claim(kind, "False", stalled.reason, stalled.message)
    return Claim(kind, "True", Reason.ROLLING_OUT, what)


def _degraded(
    snapshot: SwarmSnapshot, plan: SwarmNodes, named: Sequence[tuple[str, NodeStatus]], refused: Problem | None
) -> Claim:
    kind = ConditionType.DEGRADED
    if snapshot.spec is None:
        return Claim(kind, "True", Reason.INVALID_SPEC, snapshot.invalid)
    if plan.taken:
        return Claim(kind, "True", Reason.NAME_TAKEN, _taken(plan))
    if refused:
        return Claim(kind, "True", refused.reason, refused.message)
    bad = [(name, _condition(status, ConditionType.DEGRADED)) for name, status in named]
    bad = [(name, condition) for name, condition in bad if condition is not None and condition.status == "True"]
    if bad:
        message = "; ".join(f"Node {name}: {condition.message}" for name, condition in bad[:3] if condition)
        reasons = {condition.reason for _, condition in bad if condition}
        return Claim(kind, "True", reasons.pop() if len(reasons) == 1 else Reason.NODES_DEGRADED, message)
    return Claim(kind, "False", Reason.AS_EXPECTED, "")


def _complete(snapshot: SwarmSnapshot, plan: SwarmNodes, named: Sequence[tuple[str, NodeStatus]]) -> Claim:
    if _all_complete(snapshot, plan, named):
        return Claim(ConditionType.COMPLETE, "True", Reason.ROUNDS_COMPLETE, "all Nodes are complete")
    return Claim(ConditionType.COMPLETE, "False", Reason.ROUNDS_REMAIN, "rounds remain")


def _chain(snapshot: SwarmSnapshot, swarm_id: str) -> Claim:
    kind, chain = ConditionType.CHAIN_SYNCED, snapshot.chain
    silent = without_chain(chain, snapshot.status.conditions)
    if silent is not None:
        return silent
    if swarm_id not in chain.swarms:
        return Claim(kind, "False", Reason.REGISTERING, chain.message or "the Swarm is being created on the chain")
    return Claim(kind, "True", Reason.SYNCED, chain.message)


def _exchange(snapshot: SwarmSnapshot) -> Claim:
    kind = ConditionType.EXCHANGE_READY
    if not snapshot.exchange.configured:
        return Claim(kind, "Unknown", Reason.NOT_CONFIGURED, "the operator has no exchange: Nodes learn alone")
    if not snapshot.exchange.asked:
        return unchanged(kind, snapshot.status.conditions)
    if not snapshot.exchange.reachable:
        return Claim(kind, "False", Reason.EXCHANGE_UNREACHABLE, snapshot.exchange.message)
    return Claim(kind, "True", Reason.CONNECTED, "")


def _gamed(named: Sequence[tuple[str, NodeStatus]]) -> Claim:
    kind = ConditionType.REWARD_GAMED
    told = [(name, _condition(status, kind)) for name, status in named]
    gamed = [f"Node {name}: {each.message}" for name, each in told if each is not None and each.status == "True"]
    if gamed:
        return Claim(kind, "True", Reason.REWARD_GAMED, "; ".join(gamed[:3]))
    return Claim(kind, "False", Reason.AS_EXPECTED, "")


def _taken(plan: SwarmNodes) -> str:
    return f"Node {plan.taken[0]} exists and is not this Swarm's: delete or rename it, or rename the Swarm"
