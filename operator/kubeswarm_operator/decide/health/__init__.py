"""What is wrong with a Node's pods and objects: one detector a symptom, asked in order of how much it explains."""

from collections.abc import Callable, Iterator

from kubeswarm_operator.decide.health.claims import claims
from kubeswarm_operator.decide.health.containers import containers
from kubeswarm_operator.decide.health.machines import lost
from kubeswarm_operator.decide.health.problem import Problem, problem
from kubeswarm_operator.decide.health.references import missing
from kubeswarm_operator.decide.health.refusals import refusal_of, refused
from kubeswarm_operator.decide.health.scheduling import unschedulable
from kubeswarm_operator.decide.health.starting import stuck
from kubeswarm_operator.decide.health.trainer import trainer
from kubeswarm_operator.observe.snapshot import NodeSnapshot
from kubeswarm_operator.resources import Object

__all__ = ["DETECTORS", "Problem", "pod_ready", "problem", "problems", "refusal_of"]

DETECTORS: tuple[Callable[[NodeSnapshot], Iterator[Problem]], ...] = (
    missing,
    refused,
    lost,
    containers,
    stuck,
    trainer,
    claims,
    unschedulable,
)


def problems(snapshot: NodeSnapshot) -> list[Problem]:
    """All problems, the one that explains most first."""
    return [found for detector in DETECTORS for found in detector(snapshot)]


def pod_ready(pod: Object) -> bool:
    """Whether Kubernetes says that the pod is Ready, and it isn't going."""
    conditions = pod.get("status", {}).get("conditions") or []
    return "deletionTimestamp" not in pod["metadata"] and any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions
    )
