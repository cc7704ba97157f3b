"""What the operator asks of the Kubernetes API: the chart's roles grant this and nothing else."""

from dataclasses import dataclass

from kubeswarm_api.base import GROUP


@dataclass(frozen=True)
class Rule:
    """Verbs on resources of one API group."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]


_KEPT = ("list", "watch", "create", "patch")  # Kubernetes' garbage collector deletes what a Node leaves
_OWNED = (*_KEPT, "delete")

#: In every namespace that is watched.
WATCHED_RULES = (
    Rule(GROUP, ("swarms",), ("list", "watch", "patch", "delete")),
    Rule(GROUP, ("swarmnodes",), _OWNED),
    Rule(GROUP, ("swarms/status", "swarmnodes/status"), ("patch",)),
    # Owner references with blockOwnerDeletion need this where that admission plugin is on.
    Rule(GROUP, ("swarms/finalizers", "swarmnodes/finalizers"), ("update",)),
    Rule("", ("services", "configmaps"), _KEPT),
    Rule("", ("persistentvolumeclaims",), ("get", *_KEPT)),
    Rule("", ("secrets",), ("get", *_OWNED)),
    Rule("", ("pods",), ("list", "watch")),
    Rule("", ("events",), ("list", "create", "patch")),
    Rule("apps", ("statefulsets",), _KEPT),
    Rule("apps", ("deployments",), _OWNED),
    Rule("apps", ("controllerrevisions",), ("get", "create", "delete")),
    Rule("networking.k8s.io", ("networkpolicies",), _OWNED),
    Rule("policy", ("poddisruptionbudgets",), _OWNED),
)

#: In the operator's own namespace.
OWN_RULES = (
    Rule("coordination.k8s.io", ("leases",), ("get", "create", "update")),
    Rule("", ("secrets", "configmaps"), ("get", "create", "patch")),
)
