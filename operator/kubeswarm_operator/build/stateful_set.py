"""The head: a StatefulSet of one pod with the trainer and, as a native sidecar, the attestor."""

from kubeswarm_api.names import (
    ATTESTOR_CONTAINER,
    ATTESTOR_PORT,
    ATTESTOR_SOCKET,
    CONFIG_ANNOTATION,
    DATA_DIR,
    HEAD,
    TRAINER_CONTAINER,
    TRAINER_PORT,
    claim_name,
    head_name,
    identity_name,
)
from kubeswarm_api.node import NodeSpec
from kubeswarm_api.operator_config import Images
from kubeswarm_operator.build import pods
from kubeswarm_operator.build.meta import Owner, manifest, pod_selector
from kubeswarm_operator.resources import STATEFUL_SETS, Object

TRAINER_RESOURCES = pods.Resources(cpu="500m", memory="3Gi", cpu_limit="16", memory_limit="24Gi")
ATTESTOR_RESOURCES = pods.Resources(cpu="10m", memory="128Mi", cpu_limit="1", memory_limit="512Mi")


def stateful_set(
    owner: Owner, spec: NodeSpec, images: Images, config_digest: str, replicas: int, exchange_secret: str | None
) -> Object:
    """The head's StatefulSet. `exchange_secret`: the Secret with the credentials for the exchange, if there is one."""
    volumes = [
        *pods.common_volumes(owner),
        *pods.ray_volumes(owner),
        *pods.model_volumes(spec.model, images),
        *pods.environment_volumes(spec.environment),
        {"name": "data", "persistentVolumeClaim": {"claimName": claim_name(owner.name)}},
        {"name": "socket", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        pods.secret_volume("identity", identity_name(owner.name)),
    ]
    shared = [
        {"name": "data", "mountPath": str(DATA_DIR)},
        {"name": "socket", "mountPath": str(ATTESTOR_SOCKET.parent)},
    ]
    trainer = pods.container(TRAINER_CONTAINER, images, "trainer", TRAINER_PORT, TRAINER_RESOURCES)
    trainer["env"] += pods.ray_environment()
    trainer["volumeMounts"] += [*shared, *pods.ray_mounts(), *pods.model_mounts(spec.model)]
    trainer["volumeMounts"] += pods.environment_mounts(spec.environment)
    if exchange_secret:
        volumes.append(pods.secret_volume("exchange", exchange_secret))
        trainer["volumeMounts"].append(pods.exchange_mount())
    attestor = pods.container(ATTESTOR_CONTAINER, images, "attestor", ATTESTOR_PORT, ATTESTOR_RESOURCES)
    attestor["restartPolicy"] = "Always"  # a native sidecar: started before the trainer, stopped after it
    attestor["volumeMounts"] += [*shared, pods.identity_mount()]
    pod = {
        **pods.pod_spec(images),
        "initContainers": [attestor],
        "containers": [trainer],
        "volumes": volumes,
    }
    annotations = {CONFIG_ANNOTATION: config_digest}
    return manifest(
        STATEFUL_SETS,
        owner,
        head_name(owner.name),
        {
            "spec": {
                "replicas": replicas,
                "serviceName": head_name(owner.name),
                # With OrderedReady a broken pod would keep its own replacement from being rolled out.
                "podManagementPolicy": "Parallel",
                "revisionHistoryLimit": 3,
                "selector": {"matchLabels": pod_selector(owner, HEAD)},
                "template": pods.pod_template(owner, HEAD, pod, spec.template.head, annotations),
            }
        },
        role=HEAD,
    )
