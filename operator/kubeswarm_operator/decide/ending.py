"""Whether a Node's training ends before its rounds are done: because it should, or because it has failed for good."""

from datetime import datetime

from kubeswarm_api.conditions import ConditionType, Reason
from kubeswarm_api.names import HEAD, ROLE_LABEL
from kubeswarm_operator.decide.health import Problem, problem
from kubeswarm_operator.decide.rollback import on_trial
from kubeswarm_operator.decide.rolling import rolling
from kubeswarm_operator.observe.snapshot import NodeSnapshot, container_statuses
from kubeswarm_operator.resources import Object


def stop_round(snapshot: NodeSnapshot) -> int | None:
    """The round after which training ends early; None: it doesn't. Once recorded it stays, until the spec changes."""
    spec, status = snapshot.spec, snapshot.status
    if spec is None:
        return None
    if status.stop_round is not None and _same_spec(snapshot):
        return status.stop_round
    return _finished(snapshot) if stop_reason(snapshot) else None


def stop_reason(snapshot: NodeSnapshot) -> str:
    """Which condition of stopWhen is met, for a person; empty: none."""
    spec, status, reports = snapshot.spec, snapshot.status, snapshot.reports
    if spec is None or not 0 < _finished(snapshot) < spec.rounds:
        return ""
    wanted = spec.stop_when
    rewards = [reports.trainer.held_out.latest if reports.trainer and reports.trainer.held_out else None]
    rewards.append(float(status.held_out.latest) if status.held_out and status.held_out.latest else None)
    reward = next((each for each in rewards if each is not None), None)
    if wanted.held_out_reward is not None and reward is not None and reward >= wanted.held_out_reward:
        return f"the held-out reward {reward:.4f} has reached stopWhen.heldOutReward"
    if wanted.seconds is not None and _age(snapshot) >= wanted.seconds:
        return "stopWhen.seconds have gone by"
    tokens = max(reports.trainer.tokens if reports.trainer else 0, status.tokens)
    if wanted.tokens is not None and tokens >= wanted.tokens:
        return f"{tokens} tokens have reached stopWhen.tokens"
    gas = reports.attestor.gas_used if reports.attestor else 0
    if wanted.gas is not None and gas >= wanted.gas:
        return f"{gas} gas has reached stopWhen.gas"
    return ""


def failure(snapshot: NodeSnapshot, complete: bool, problems: list[Problem]) -> Problem | None:
    """Why a Node has failed for good; None: it hasn't. Once recorded it stays, until the spec changes.

    Too many restarts with a change that is on trial are the change's failure, not the Node's.
    """
    spec = snapshot.spec
    if spec is None or complete:
        return None
    recorded = next((c for c in snapshot.status.conditions if c.type == ConditionType.FAILED), None)
    if recorded is not None and recorded.status == "True" and _same_spec(snapshot):
        return Problem(Reason(recorded.reason), recorded.message)
    policy = spec.failure_policy
    if policy.deadline_seconds is not None and _age(snapshot) >= policy.deadline_seconds:
        return problem(Reason.DEADLINE_EXCEEDED, f"not complete {policy.deadline_seconds} s after its creation")
    worn = "" if on_trial(snapshot.status.change) else exhausted(snapshot, problems)
    return problem(Reason.RESTARTS_EXHAUSTED, worn) if worn else None


def exhausted(snapshot: NodeSnapshot, problems: list[Problem]) -> str:
    """How a Node's head has ended more often than it may; empty: it hasn't. Pods that are replaced don't count."""
    most = snapshot.spec.failure_policy.max_restarts if snapshot.spec else None
    heads = (child for child in snapshot.children.values() if child["kind"] == "StatefulSet")
    restarts = 0 if rolling(heads) else sum(map(_restarts, snapshot.pods))
    if most is None or restarts <= most:
        return ""
    why = f": {problems[0].message}" if problems else ""
    return f"{restarts} restarts, more than failurePolicy.maxRestarts{why}"


def seconds_left(snapshot: NodeSnapshot) -> float | None:
    """Seconds until a limit in time is reached, if there is one ahead."""
    if snapshot.spec is None:
        return None
    limits = (snapshot.spec.stop_when.seconds, snapshot.spec.failure_policy.deadline_seconds)
    ahead = [limit - _age(snapshot) for limit in limits if limit is not None and limit > _age(snapshot)]
    return min(ahead, default=None)


def _same_spec(snapshot: NodeSnapshot) -> bool:
    return snapshot.status.observed_generation == snapshot.live["metadata"].get("generation", 0)


def _finished(snapshot: NodeSnapshot) -> int:
    report = snapshot.reports.trainer
    return max(report.round if report else 0, snapshot.status.round)


def _age(snapshot: NodeSnapshot) -> float:
    created = snapshot.live["metadata"].get("creationTimestamp")
    return (snapshot.now - datetime.fromisoformat(created)).total_seconds() if created else 0.0


def _restarts(pod: Object) -> int:
    if (pod["metadata"].get("labels") or {}).get(ROLE_LABEL) != HEAD or "deletionTimestamp" in pod["metadata"]:
        return 0
    return sum(each.get("restartCount", 0) for each in container_statuses(pod.get("status", {})))
