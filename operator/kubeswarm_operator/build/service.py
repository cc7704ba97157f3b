"""The headless Service that gives the head pod its name in DNS."""

from kubeswarm_api.names import HEAD, RAY_PORT, head_name
from kubeswarm_operator.build.meta import Owner, manifest, pod_selector
from kubeswarm_operator.resources import SERVICES, Object


def head_service(owner: Owner) -> Object:
    """Rollout pods join before the head is ready, so that its address is published early."""
    return manifest(
        SERVICES,
        owner,
        head_name(owner.name),
        {
            "spec": {
                "clusterIP": "None",
                "publishNotReadyAddresses": True,
                "selector": pod_selector(owner, HEAD),
                "ports": [{"name": "ray", "port": RAY_PORT, "protocol": "TCP", "targetPort": RAY_PORT}],
            }
        },
        role=HEAD,
    )
