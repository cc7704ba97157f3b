"""Nodes of this machine in the form that the tables and lines for a cluster's Swarms show."""

from datetime import UTC, datetime

from kubeswarm_api.conditions import Condition, ConditionType, Reason
from kubeswarm_api.node import HeldOut, NodeStatus
from kubeswarm_api.reports import HeldOutReport, NodeReport, Phase
from kubeswarm_api.swarm import SwarmStatus
from kubeswarm_cli.cluster import Node, Swarm
from kubeswarm_cli.local.directory import RunFile
from kubeswarm_cli.local.node import LocalNode

NAMESPACE = "local"


def swarm(run: RunFile, swarm_id: str, nodes: list[LocalNode]) -> Swarm:
    """The run as it is now."""
    seen = tuple(_node(run.name, each) for each in nodes)
    reasons = [_reason(each) for each in nodes]
    # The Node that is furthest behind speaks for all.
    order = [Reason.STARTING, Reason.TRAINING, Reason.ATTESTING, Reason.ROUNDS_COMPLETE]
    reason = min(reasons, key=order.index, default=Reason.ROUNDS_COMPLETE)
    status = SwarmStatus(swarm_id=swarm_id, nodes=len(seen), conditions=[_ready(reason, "")])
    return Swarm(
        namespace=NAMESPACE,
        name=run.name,
        uid=run.uid,
        created=datetime.fromisoformat(run.starts[0].at),
        rounds=run.spec.rounds,
        wanted_nodes=run.spec.nodes,
        status=status,
        nodes=seen,
    )


def _node(swarm: str, node: LocalNode) -> Node:
    report = node.report or NodeReport(phase=Phase.STARTING)
    reason = _reason(node)
    conditions = [_ready(reason, report.message)]
    if node.troubles:
        conditions.append(_condition(ConditionType.DEGRADED, "True", Reason.TRAINER_FAILED, "; ".join(node.troubles)))
    if reason is Reason.ROUNDS_COMPLETE:
        conditions.append(_condition(ConditionType.COMPLETE, "True", reason, ""))
    return Node(
        namespace=NAMESPACE,
        name=node.name,
        swarm=swarm,
        rounds=node.rounds,
        rollout_workers=node.workers,
        status=NodeStatus(
            conditions=conditions,
            node_id=node.attestor_report.node_id if node.attestor_report else None,
            round=report.round,
            reward=decimal(report.reward),
            held_out=_held_out(report.held_out),
            attested_rounds=node.attestor_report.attested_rounds if node.attestor_report else 0,
            groups_taken=report.groups_taken,
            tokens=report.tokens,
            ready_rollout_replicas=sum(process.running for process in node.rollouts),
            model=report.model,
        ),
    )


def _reason(node: LocalNode) -> Reason:
    if node.trained:
        return Reason.ROUNDS_COMPLETE if node.attested else Reason.ATTESTING
    training = node.report is not None and node.report.phase is Phase.TRAINING
    return Reason.TRAINING if training else Reason.STARTING


def _ready(reason: Reason, message: str) -> Condition:
    return _condition(ConditionType.READY, "True" if reason is Reason.TRAINING else "False", reason, message)


def _condition(kind: ConditionType, status: str, reason: Reason, message: str) -> Condition:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Condition.model_validate(
        {"type": kind, "status": status, "reason": reason, "message": message[:4096], "lastTransitionTime": now}
    )


def _held_out(report: HeldOutReport | None) -> HeldOut | None:
    if report is None:
        return None
    return HeldOut(
        items=report.items,
        before=decimal(report.before),
        latest=decimal(report.latest),
        exact_before=decimal(report.exact_before),
        exact_latest=decimal(report.exact_latest),
        round=report.round,
    )


def decimal(value: float | None) -> str | None:
    """Four digits, as a status has them."""
    return None if value is None else f"{value:.4f}"
