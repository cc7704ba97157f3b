"""Pods that have a machine and don't get started, by what their kubelet says in Events."""

from collections.abc import Iterator

from kubeswarm_api.conditions import Reason
from kubeswarm_operator.decide.health.problem import QUOTED, Problem, problem
from kubeswarm_operator.decide.health.references import named_in
from kubeswarm_operator.observe.snapshot import NodeSnapshot


def stuck(snapshot: NodeSnapshot) -> Iterator[Problem]:
    """Mostly a volume that can't be mounted."""
    for pod, message in snapshot.stuck:
        reason = named_in(message) or Reason.CONTAINER_CONFIG_ERROR
        yield problem(reason, f"pod {pod} does not get started: {message[:QUOTED]}")
