"""Whether a Node has done all that it was asked for."""

from dataclasses import dataclass

from kubeswarm_api.conditions import ConditionType
from kubeswarm_api.reports import Phase
from kubeswarm_operator.observe.snapshot import NodeSnapshot


@dataclass(frozen=True)
class Progress:
    """How far a Node is."""

    round: int
    attested: int
    trained: bool  # all rounds are finished, the last evaluation too
    complete: bool  # and all are on the chain, where there is one
    lost: int = 0  # rounds of a complete Node that the chain had and has no more


def progress(
    snapshot: NodeSnapshot, swarm_id: str | None, node_id: str | None, stop_round: int | None = None
) -> Progress:
    """From what the trainer says, what the chain has, and what was recorded when there are no pods to ask.

    `trained` needs the trainer's own word once, because after the last round comes the last evaluation; the Complete
    condition keeps that word when the pods are gone, until more rounds are asked for. `stop_round`: the round after
    which training ends early. What a complete Node has attested stays on record when the chain is made anew; one that
    still trains goes by the chain alone, because it may be reorganised.
    """
    report, status = snapshot.reports.trainer, snapshot.status
    rounds = snapshot.spec.rounds if snapshot.spec else 0
    if stop_round is not None:
        rounds = min(rounds, stop_round)
    finished = max(report.round if report else 0, status.round)
    attested = snapshot.chain.attested.get((swarm_id or "", node_id or ""))
    if attested is None or not snapshot.chain.reachable:  # the next best: the attestor's word, and what was known
        said = snapshot.reports.attestor.attested_rounds if snapshot.reports.attestor else 0
        attested = max(said, status.attested_rounds)
    recorded = any(c.type == ConditionType.COMPLETE and c.status == "True" for c in status.conditions)
    lost = max(0, status.attested_rounds - attested) if recorded else 0
    trained = finished >= rounds > 0 and (recorded or (report is not None and report.phase == Phase.COMPLETE))
    complete = trained and (recorded or not snapshot.chain.configured or attested >= max(rounds, finished))
    return Progress(finished, attested + lost, trained, complete, lost)
