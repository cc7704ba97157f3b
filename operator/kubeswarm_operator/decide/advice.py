"""What is told of a Node beside its training, which goes on whatever is wrong: the chain, the exchange, its reward."""

from collections.abc import Iterable

from kubeswarm_api.conditions import Condition, ConditionType, Reason
from kubeswarm_operator.decide.completion import Progress
from kubeswarm_operator.decide.conditions import Claim, unchanged
from kubeswarm_operator.decide.health import problem
from kubeswarm_operator.observe.snapshot import ChainFacts, NodeSnapshot

#: Characters of a worker's words in a message.
_SAID = 900


def advice(snapshot: NodeSnapshot, progress: Progress) -> list[Claim]:
    """A claim each."""
    return [_chain(snapshot, progress), _exchange(snapshot), _gamed(snapshot)]


def without_chain(chain: ChainFacts, before: Iterable[Condition]) -> Claim | None:
    """What is said, of a Swarm as of a Node, where the chain says nothing; None: it does."""
    kind = ConditionType.CHAIN_SYNCED
    if not chain.configured:
        return Claim(kind, "Unknown", Reason.NOT_CONFIGURED, "the operator has no chain: rounds are not attested")
    if not chain.asked:
        return unchanged(kind, before)
    if not chain.reachable:
        return Claim(kind, "False", chain.reason or Reason.CHAIN_UNREACHABLE, chain.message)
    return None


def _chain(snapshot: NodeSnapshot, progress: Progress) -> Claim:
    kind, silent = ConditionType.CHAIN_SYNCED, without_chain(snapshot.chain, snapshot.status.conditions)
    if silent is not None:
        return silent
    if progress.lost:
        what = f"the chain has {progress.attested - progress.lost} of {progress.attested} rounds"
        reset = problem(Reason.CHAIN_RESET, f"{what} that were attested")
        return Claim(kind, "False", reset.reason, reset.message)
    attestor = snapshot.reports.attestor
    if attestor is not None and attestor.problem is not None:
        return Claim(kind, "False", attestor.problem.reason, attestor.problem.message)
    if attestor is not None and not (attestor.registered and attestor.joined):
        return Claim(kind, "False", Reason.REGISTERING, "the Node's key is being registered and joins the Swarm")
    return Claim(kind, "True", Reason.SYNCED, "")


def _exchange(snapshot: NodeSnapshot) -> Claim:
    kind, report = ConditionType.EXCHANGE_READY, snapshot.reports.trainer
    if not snapshot.exchange.configured:
        return Claim(kind, "Unknown", Reason.NOT_CONFIGURED, "the operator has no exchange: Nodes learn alone")
    if report is not None and report.exchange_connected is False:
        message = (
            snapshot.exchange.message or "the trainer isn't connected to the exchange: it trains on its own groups"
        )
        return Claim(kind, "False", Reason.EXCHANGE_UNREACHABLE, message)
    if report is None and not snapshot.exchange.asked:
        return unchanged(kind, snapshot.status.conditions)
    if report is None and not snapshot.exchange.reachable:
        return Claim(kind, "False", Reason.EXCHANGE_UNREACHABLE, snapshot.exchange.message)
    return Claim(kind, "True", Reason.CONNECTED, "")


def _gamed(snapshot: NodeSnapshot) -> Claim:
    """Advice: training goes on."""
    kind, report = ConditionType.REWARD_GAMED, snapshot.reports.trainer
    if report is None:
        return unchanged(kind, snapshot.status.conditions)
    if not report.gamed:
        return Claim(kind, "False", Reason.AS_EXPECTED, "")
    seen = "; ".join(f"task {task}: {what}" for task, what in sorted(report.gamed.items())[:3])
    return Claim(kind, "True", Reason.REWARD_GAMED, problem(Reason.REWARD_GAMED, seen[:_SAID]).message)
