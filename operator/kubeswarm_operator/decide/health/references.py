"""What the spec refers to by name and the namespace lacks."""

from collections.abc import Iterator

from kubeswarm_api.conditions import Reason
from kubeswarm_operator.decide.health.problem import Problem, problem
from kubeswarm_operator.observe.snapshot import NodeSnapshot

#: By kind: the reason, and what a person should know of the object.
_KINDS = {
    "Swarm": (Reason.SWARM_NOT_FOUND, ""),
    "Secret": (Reason.SECRET_NOT_FOUND, " with key nats.creds"),
    "PersistentVolumeClaim": (Reason.CLAIM_NOT_FOUND, " (spec.model.claim)"),
}


def missing(snapshot: NodeSnapshot) -> Iterator[Problem]:
    """One problem an object."""
    for kind, name in snapshot.missing:
        reason, about = _KINDS[kind]
        yield problem(reason, f"{kind} {name}{about} does not exist in this namespace")


def named_in(message: str) -> Reason | None:
    """The reason, where a component says of something that it refers to that it isn't there."""
    if "not found" not in message:
        return None
    kinds = (
        ("secret", Reason.SECRET_NOT_FOUND),
        ("configmap", Reason.CONFIG_MAP_NOT_FOUND),
        ("persistentvolumeclaim", Reason.CLAIM_NOT_FOUND),
    )
    return next((reason for word, reason in kinds if f'{word} "' in message.lower()), None)
