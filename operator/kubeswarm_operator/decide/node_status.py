"""A Node's status: numbers and conditions, from what its pods and the chain say. Numbers outlive the pods."""

from dataclasses import dataclass
from enum import Enum

from kubeswarm_api.conditions import Condition, ConditionType, Reason
from kubeswarm_api.names import APP_LABEL, HEAD, NODE_LABEL, ROLE_LABEL, ROLLOUT
from kubeswarm_api.node import Change, HeldOut, NodeStatus
from kubeswarm_api.reports import NodeReport, Phase
from kubeswarm_api.spec_life import Update
from kubeswarm_operator.decide.advice import advice
from kubeswarm_operator.decide.completion import Progress
from kubeswarm_operator.decide.conditions import Claim, conditions, holds
from kubeswarm_operator.decide.health import Problem, pod_ready, problem
from kubeswarm_operator.decide.queueing import gang, held, waits
from kubeswarm_operator.decide.replicas import Replicas
from kubeswarm_operator.decide.rollback import on_trial, proven
from kubeswarm_operator.decide.rolling import behind
from kubeswarm_operator.observe.snapshot import NodeSnapshot
from kubeswarm_operator.resources import DEPLOYMENTS, STATEFUL_SETS, Object


class Waits(Enum):
    """What a Node with a change waits for."""

    TURN = "its turn (spec.update.maxUnavailable of the Swarm)"
    PAUSED = "spec.update.paused of the Swarm to be false"


@dataclass(frozen=True)
class NodeFacts:
    """What the policies before this one found."""

    swarm_id: str | None
    node_id: str | None
    progress: Progress
    replicas: Replicas
    problems: tuple[Problem, ...]
    rolling: bool  # pods of an older template are still there
    stop_round: int | None = None  # the round after which training ends early
    failed: Problem | None = None  # why it has failed for good
    waits: Waits | None = None  # before its pods may be replaced by ones of the changed spec
    update: Update | None = None  # how the Swarm wants changes to spread
    change: Change | None = None  # what is on trial, or has failed


def node_status(snapshot: NodeSnapshot, facts: NodeFacts) -> NodeStatus:
    """The whole status."""
    before, report = snapshot.status, snapshot.reports.trainer
    rollouts = [pod for pod in snapshot.pods if _role(pod) == ROLLOUT and "deletionTimestamp" not in pod["metadata"]]
    name = snapshot.live["metadata"]["name"]
    held = node_conditions(snapshot, facts)
    ready = holds(ConditionType.READY, held)
    revision = proven(snapshot, facts.update, facts.change, ready and not facts.rolling)
    came_through = facts.change is not None and facts.change.revision == revision
    return NodeStatus(
        observed_generation=snapshot.live["metadata"].get("generation", 0),
        conditions=held,
        swarm_id=facts.swarm_id or before.swarm_id,
        node_id=facts.node_id or before.node_id,
        round=facts.progress.round,
        stop_round=facts.stop_round,
        reward=_decimal(report.reward) if report and report.reward is not None else before.reward,
        held_out=_held_out(report) or before.held_out,
        attested_rounds=facts.progress.attested,
        groups_taken=max(report.groups_taken if report else 0, before.groups_taken),
        tokens=max(report.tokens if report else 0, before.tokens),
        rollout_replicas=len(rollouts),
        ready_rollout_replicas=sum(map(pod_ready, rollouts)),
        revision=revision,
        change=None if came_through else facts.change,
        model=(report.model if report else None) or before.model,
        selector=f"{APP_LABEL}=kubeswarm,{NODE_LABEL}={name},{ROLE_LABEL}={ROLLOUT}",
    )


def node_conditions(snapshot: NodeSnapshot, facts: NodeFacts) -> list[Condition]:
    """All of a Node's conditions, each from one rule."""
    claims = [
        _ready(snapshot, facts),
        _progressing(snapshot, facts),
        _degraded(facts),
        _complete(snapshot, facts),
        _failed(facts),
        *advice(snapshot, facts.progress),
    ]
    generation = snapshot.live["metadata"].get("generation", 0)
    return conditions(claims, snapshot.status.conditions, generation, snapshot.now)


def _ready(snapshot: NodeSnapshot, facts: NodeFacts) -> Claim:
    kind = ConditionType.READY
    if "deletionTimestamp" in snapshot.live["metadata"]:
        return Claim(kind, "False", Reason.DELETING, "the Node is being deleted")
    if snapshot.spec is None:
        return Claim(kind, "False", Reason.INVALID_SPEC, snapshot.invalid)
    if facts.progress.complete:
        return Claim(kind, "False", _done(facts), f"{_rounds(snapshot, facts)} are done; no pods run")
    if facts.failed is not None:
        return Claim(kind, "False", facts.failed.reason, facts.failed.message)
    if snapshot.spec.suspend:
        return Claim(kind, "False", Reason.SUSPENDED, "spec.suspend is true: set it to false to go on")
    if facts.problems:
        return Claim(kind, "False", facts.problems[0].reason, facts.problems[0].message)
    if waits(snapshot):
        return Claim(kind, "False", Reason.QUEUED, _queued(snapshot))
    waiting = _waiting(snapshot, facts)
    if waiting:
        return waiting
    report = snapshot.reports.trainer
    if report is not None and report.phase in (Phase.STARTING, Phase.STOPPING):
        return Claim(kind, "False", Reason.STARTING, report.message or "the trainer is starting or stopping")
    wanted, ready = facts.replicas.rollout, facts.replicas.ready
    if ready < wanted and snapshot.spec.queue:
        what = f"{ready} of {wanted} rollout pods are; the others wait in queue {snapshot.spec.queue.name} for quota"
        return Claim(kind, "True", Reason.TRAINING, f"all pods are ready that have quota: {what}")
    return Claim(kind, "True", Reason.TRAINING, "all pods are ready")


def _queued(snapshot: NodeSnapshot) -> str:
    spec = snapshot.spec
    assert spec is not None and spec.queue is not None
    size, name = gang(spec), snapshot.live["metadata"]["name"]
    what = f"its head and {size} rollout pod{'' if size == 1 else 's'} at once" if size else "its head"
    return (
        f"it waits in queue {spec.queue.name} for quota for {what}; `kubectl describe workloads` says of the one whose "
        f"name begins with {name}- what is missing"
    )


def _waiting(snapshot: NodeSnapshot, facts: NodeFacts) -> Claim | None:
    for role, wanted in ((HEAD, facts.replicas.head), (ROLLOUT, facts.replicas.ready)):
        pods = [pod for pod in snapshot.pods if _role(pod) == role and not held(pod)]
        ready = sum(map(pod_ready, pods))
        if ready < wanted:
            late = next((pod["metadata"]["name"] for pod in pods if not pod_ready(pod)), None)
            reason = Reason.POD_NOT_READY if late else Reason.CREATING
            what = f"pod {late} is not ready yet" if late else f"the {role} pod does not exist yet"
            return Claim(ConditionType.READY, "False", reason, f"{what} ({ready} of {wanted} {role} pods are ready)")
    for kind, wanted in ((STATEFUL_SETS.kind, facts.replicas.head), (DEPLOYMENTS.kind, facts.replicas.ready)):
        workloads = {name: live for (what, name), live in snapshot.children.items() if what == kind}
        late = next((name for name, live in workloads.items() if behind(live)), None)
        if late is None and workloads and sum(live["spec"]["replicas"] for live in workloads.values()) < wanted:
            late = min(workloads)
        if late:  # what is ready may be about to go
            what = f"{kind} {late} has changed, and its controller has not acted on it yet"
            return Claim(ConditionType.READY, "False", Reason.SCALING, what)
    if on_trial(facts.change) and facts.change != snapshot.status.change:
        what = "its pods are about to be replaced by ones of the changed spec"
        return Claim(ConditionType.READY, "False", Reason.ROLLING_OUT, what)
    return None


def _progressing(snapshot: NodeSnapshot, facts: NodeFacts) -> Claim:
    kind = ConditionType.PROGRESSING
    if snapshot.spec is None:
        return Claim(kind, "False", Reason.INVALID_SPEC, snapshot.invalid)
    if facts.progress.complete:
        return Claim(kind, "False", _done(facts), "nothing is left to do")
    if facts.failed is not None:
        return Claim(kind, "False", facts.failed.reason, "it has failed")
    if snapshot.spec.suspend:
        return Claim(kind, "False", Reason.SUSPENDED, "spec.suspend is true")
    if facts.progress.trained:
        return Claim(kind, "True", Reason.ATTESTING, "training is done; the last rounds go to the chain")
    if facts.change is not None and facts.change.failed:
        return Claim(kind, "True", Reason.ROLLED_BACK, _went_back(snapshot, facts.change))
    if facts.waits is not None:
        reason = Reason.UPDATE_PAUSED if facts.waits is Waits.PAUSED else Reason.UPDATE_PENDING
        return Claim(kind, "True", reason, f"it keeps its pods as they are, and waits for {facts.waits.value}")
    if facts.problems:
        return Claim(kind, "False", facts.problems[0].reason, "see Degraded")
    if waits(snapshot):
        return Claim(kind, "False", Reason.QUEUED, "see Ready")
    if facts.rolling:
        return Claim(kind, "True", Reason.ROLLING_OUT, "pods are replaced by ones with the changed spec")
    report = snapshot.reports.trainer
    if _waiting(snapshot, facts) or (report is not None and report.phase == Phase.STARTING):
        return Claim(kind, "True", Reason.STARTING, "pods are starting")
    return Claim(kind, "True", Reason.TRAINING, f"training {snapshot.spec.rounds} rounds")


def _went_back(snapshot: NodeSnapshot, change: Change) -> str:
    known = (snapshot.status.revision or "")[:10]
    what = f"revision {change.revision[:10]} was {change.failed}; the Node has the pods of revision {known} again"
    return problem(Reason.ROLLED_BACK, what).message


def _done(facts: NodeFacts) -> Reason:
    return Reason.ROUNDS_COMPLETE if facts.stop_round is None else Reason.STOPPED_EARLY


def _rounds(snapshot: NodeSnapshot, facts: NodeFacts) -> str:
    wanted = snapshot.spec.rounds if snapshot.spec else 0
    if facts.stop_round is None:
        return f"all {wanted} rounds"
    return f"{facts.progress.round} of {wanted} rounds, where spec.stopWhen ends it,"


def _failed(facts: NodeFacts) -> Claim:
    if facts.failed is not None:
        return Claim(ConditionType.FAILED, "True", facts.failed.reason, facts.failed.message)
    return Claim(ConditionType.FAILED, "False", Reason.AS_EXPECTED, "")


def _degraded(facts: NodeFacts) -> Claim:
    if facts.failed is not None:
        return Claim(ConditionType.DEGRADED, "True", facts.failed.reason, facts.failed.message)
    if facts.problems:
        message = "; ".join(problem.message for problem in facts.problems[:3])
        return Claim(ConditionType.DEGRADED, "True", facts.problems[0].reason, message)
    return Claim(ConditionType.DEGRADED, "False", Reason.AS_EXPECTED, "")


def _complete(snapshot: NodeSnapshot, facts: NodeFacts) -> Claim:
    kind = ConditionType.COMPLETE
    if facts.progress.complete:
        message = f"{_rounds(snapshot, facts)} are trained, and attested if there is a chain"
        return Claim(kind, "True", _done(facts), message)
    if facts.progress.trained:
        return Claim(kind, "False", Reason.ATTESTING, "all rounds are trained; not all are on the chain yet")
    return Claim(kind, "False", Reason.ROUNDS_REMAIN, "rounds remain")


def _held_out(report: NodeReport | None) -> HeldOut | None:
    if report is None or report.held_out is None:
        return None
    seen = report.held_out
    return HeldOut(
        items=seen.items,
        before=_decimal(seen.before),
        latest=_decimal(seen.latest),
        exact_before=_decimal(seen.exact_before),
        exact_latest=_decimal(seen.exact_latest),
        round=seen.round,
    )


def _decimal(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"


def _role(pod: Object) -> str:
    return (pod["metadata"].get("labels") or {}).get(ROLE_LABEL, "")
