"""The budget that keeps a node drain from taking the head away unasked."""

from kubeswarm_api.names import HEAD, head_name
from kubeswarm_operator.build.meta import Owner, manifest, pod_selector
from kubeswarm_operator.resources import DISRUPTION_BUDGETS, Object


def disruption_budget(owner: Owner) -> Object:
    """At most one head pod at a time may be evicted: it resumes from its checkpoint elsewhere.

    With one pod a stricter budget would block every drain for ever. A head that isn't ready may always be evicted.
    """
    return manifest(
        DISRUPTION_BUDGETS,
        owner,
        head_name(owner.name),
        {
            "spec": {
                "maxUnavailable": 1,
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
                "selector": {"matchLabels": pod_selector(owner, HEAD)},
            }
        },
        role=HEAD,
    )
