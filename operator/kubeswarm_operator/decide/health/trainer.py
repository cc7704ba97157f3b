"""What the trainer says of itself."""

from collections.abc import Iterator

from kubeswarm_api.conditions import Reason
from kubeswarm_api.names import HEAD, ROLE_LABEL
from kubeswarm_api.reports import Phase
from kubeswarm_operator.decide.crash import cause_of
from kubeswarm_operator.decide.health.problem import QUOTED, Problem, name_of, problem
from kubeswarm_operator.observe.snapshot import NodeSnapshot


def trainer(snapshot: NodeSnapshot) -> Iterator[Problem]:
    """A failure that it reports while it still runs."""
    report = snapshot.reports.trainer
    if report is None or report.phase != Phase.FAILED:
        return
    heads = [pod for pod in snapshot.pods if (pod["metadata"].get("labels") or {}).get(ROLE_LABEL) == HEAD]
    where = f"the trainer of pod {name_of(heads[0])}" if heads else "the trainer"
    said = report.message[:QUOTED] or "it gave no reason"
    yield problem(cause_of(report.message) or Reason.TRAINER_FAILED, f"{where} failed: {said}")
