"""The budget that keeps a drain of the cluster from taking all of a Swarm's heads away at a time."""

from kubeswarm_api.names import APP, APP_LABEL, FIELD_MANAGER, HEAD, MANAGED_BY_LABEL, ROLE_LABEL, SWARM_LABEL, budget_name
from kubeswarm_operator.build.meta import Owner, swarm_owner_reference
from kubeswarm_operator.resources import DISRUPTION_BUDGETS, Object


def disruption_budget(swarm: Owner) -> Object:
    """At most one head pod of a Swarm at a time may be evicted: it resumes from its checkpoint elsewhere.

    For a Swarm of one Node there is none, because it would allow that one as well. A head that isn't ready may always
    be evicted.
    """
    return {
        "apiVersion": DISRUPTION_BUDGETS.api_version,
        "kind": DISRUPTION_BUDGETS.kind,
        "metadata": {
            "namespace": swarm.namespace,
            "name": budget_name(swarm.name),
            "labels": {APP_LABEL: APP, MANAGED_BY_LABEL: FIELD_MANAGER, SWARM_LABEL: swarm.name},
            "ownerReferences": [swarm_owner_reference(swarm)],
        },
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": {APP_LABEL: APP, SWARM_LABEL: swarm.name, ROLE_LABEL: HEAD}},
        },
    }
