"""The rollout pods: Deployments of Ray workers with vLLM engines."""

from kubeswarm_api.names import (
    CONFIG_ANNOTATION,
    GANG_LABEL,
    ROLLOUT,
    ROLLOUT_CONTAINER,
    ROLLOUT_PORT,
    gang_name,
    rollout_name,
)
from kubeswarm_api.node import NodeSpec
from kubeswarm_api.operator_config import Images
from kubeswarm_operator.build import pods
from kubeswarm_operator.build.meta import Owner, manifest, pod_selector
from kubeswarm_operator.resources import DEPLOYMENTS, Object

ROLLOUT_RESOURCES = pods.Resources(cpu="500m", memory="2Gi", cpu_limit="16", memory_limit="24Gi")


def deployment(
    owner: Owner, spec: NodeSpec, images: Images, config_digest: str, replicas: int, gang: bool = False
) -> Object:
    """The rollout pods' Deployment. `gang`: that of the ones which a queue lets in together with their head.

    These are replaced all at once: a new head begins with new ones.
    """
    rollout = pods.container(ROLLOUT_CONTAINER, images, "rollout", ROLLOUT_PORT, ROLLOUT_RESOURCES)
    rollout["env"] += pods.ray_environment()
    rollout["volumeMounts"] += [*pods.ray_mounts(), *pods.model_mounts(spec.model)]
    pod = {
        **pods.pod_spec(images),
        "containers": [rollout],
        "volumes": [*pods.common_volumes(owner), *pods.ray_volumes(owner), *pods.model_volumes(spec.model, images)],
    }
    template = pods.pod_template(owner, ROLLOUT, pod, spec.template.rollout, {CONFIG_ANNOTATION: config_digest})
    mark = {GANG_LABEL: "true"} if gang else {}
    template["metadata"]["labels"] |= mark
    # The pods that are there hold the memory that new ones would need.
    in_turn = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    return manifest(
        DEPLOYMENTS,
        owner,
        gang_name(owner.name) if gang else rollout_name(owner.name),
        {
            "spec": {
                "replicas": replicas,
                "revisionHistoryLimit": 3,
                "strategy": {"type": "Recreate"} if gang else in_turn,
                "selector": {"matchLabels": pod_selector(owner, ROLLOUT) | mark},
                "template": template,
            }
        },
        role=ROLLOUT,
    )
