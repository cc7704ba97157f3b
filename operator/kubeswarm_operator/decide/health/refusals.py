"""What the API server refuses: pods by the word of their controllers, our own objects by its answer."""

from collections.abc import Iterator

from kubeswarm_api.conditions import Reason
from kubeswarm_operator.decide.health.problem import QUOTED, Problem, problem
from kubeswarm_operator.observe.snapshot import NodeSnapshot

#: Words of a refusal, and the reason that they tell of; asked in this order.
_WORDS = (
    ("field not declared in schema", Reason.DEFINITION_OUTDATED),
    ("exceeded quota", Reason.QUOTA_EXCEEDED),
    ("failed quota", Reason.QUOTA_EXCEEDED),
    ("PodSecurity", Reason.POD_REFUSED),
    ("admission webhook", Reason.ADMISSION_DENIED),
    ("failed calling webhook", Reason.ADMISSION_DENIED),
    ("ValidatingAdmissionPolicy", Reason.ADMISSION_DENIED),
    ("MutatingAdmissionPolicy", Reason.ADMISSION_DENIED),
    ('" cannot ', Reason.FORBIDDEN),  # ... is forbidden: User "x" cannot create resource "y"
)


def refused(snapshot: NodeSnapshot) -> Iterator[Problem]:
    """Pods of the Node that could not be made."""
    for message in snapshot.refusals:
        yield refusal_of(f"the head pod was refused: {message}", Reason.POD_REFUSED)
    for (kind, name), live in snapshot.children.items():
        if kind != "Deployment":
            continue
        for condition in live.get("status", {}).get("conditions") or []:
            if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
                what = f"a pod of Deployment {name} was refused: {condition.get('message', '')}"
                yield refusal_of(what, Reason.POD_REFUSED)


def refusal_of(text: str, otherwise: Reason) -> Problem:
    """A refusal by what the API server said of it."""
    reason = next((reason for word, reason in _WORDS if word in text), otherwise)
    return problem(reason, text[:QUOTED])
