"""What a Node's head and rollout pods have in common: security, volumes, environment, probes."""

from dataclasses import dataclass
from typing import Any

from kubeswarm_api.names import (
    ENVIRONMENT_FILES,
    EXCHANGE_CREDENTIALS_FILE,
    IDENTITY_KEY_FILE,
    LAST_ATTEMPT_SECONDS,
    MODEL_DIR,
    NODE_CONFIG_FILE,
    RAY_TOKEN_FILE,
    config_name,
    ray_token_name,
)
from kubeswarm_api.operator_config import Images
from kubeswarm_api.spec_environment import Environment
from kubeswarm_api.spec_model import ModelSource
from kubeswarm_api.spec_placement import PodTemplate
from kubeswarm_operator.build.merge import merge_pod_spec
from kubeswarm_operator.build.meta import Owner, labels

USER = 65532
#: What a pod has from SIGTERM on, also at a spot notice: a checkpoint that is being written is finished (each finished
#: round has one already), and the attestor, which ends after the trainer, brings what is pending to the chain.
CHECKPOINT_SECONDS, ATTEST_SECONDS, MARGIN_SECONDS = 40, LAST_ATTEMPT_SECONDS, 10
GRACE_SECONDS = CHECKPOINT_SECONDS + ATTEST_SECONDS + MARGIN_SECONDS
#: Sizes of the volumes in memory: they count as memory of the container that fills them.
SHM_SIZE = "2Gi"


@dataclass(frozen=True)
class Resources:
    """Requests and limits of one container."""

    cpu: str
    memory: str
    cpu_limit: str
    memory_limit: str

    def to_json(self) -> dict[str, Any]:
        """As a container carries them."""
        return {
            "requests": {"cpu": self.cpu, "memory": self.memory},
            "limits": {"cpu": self.cpu_limit, "memory": self.memory_limit},
        }


def security_context() -> dict[str, Any]:
    """A container's, as the restricted pod security standard demands it, with a read-only root."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def pod_spec(images: Images) -> dict[str, Any]:
    """What every pod of a Node starts from."""
    spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if images.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in images.pull_secrets]
    return spec


def container(name: str, images: Images, role: str, port: int, resources: Resources) -> dict[str, Any]:
    """A container of the worker image. `role`: the module of kubeswarm_workers.entrypoints; `port`: its HTTP port."""
    return {
        "name": name,
        "image": images.worker,
        "imagePullPolicy": images.pull_policy,
        "command": ["python", "-m", f"kubeswarm_workers.entrypoints.{role}"],
        "env": [
            {"name": "HOME", "value": "/tmp"},  # noqa: S108 - a path in the pod
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        "ports": [{"name": f"{name}-http", "containerPort": port, "protocol": "TCP"}],
        # Starting takes minutes: a model is loaded, engines are warmed up. Only then does silence mean anything.
        "startupProbe": _probe(port, period=2, failures=600),
        "livenessProbe": _probe(port, period=20, failures=6),
        "readinessProbe": _probe(port, period=5, failures=3),
        "resources": resources.to_json(),
        "securityContext": security_context(),
        # The end of its log is what a person needs when it fails.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "config", "mountPath": str(NODE_CONFIG_FILE.parent), "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a path in the pod, on a volume of its own
        ],
    }


def _probe(port: int, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": "/healthz", "port": port},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def common_volumes(owner: Owner) -> list[dict[str, Any]]:
    """The Node's configuration and a place to write."""
    return [
        {"name": "config", "configMap": {"name": config_name(owner.name)}},
        {"name": "tmp", "emptyDir": {}},
    ]


def ray_volumes(owner: Owner) -> list[dict[str, Any]]:
    """The token of the Node's Ray cluster, and shared memory for its object store."""
    return [
        {"name": "ray-token", "secret": {"secretName": ray_token_name(owner.name), "defaultMode": 0o440}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": SHM_SIZE}},
    ]


def ray_mounts() -> list[dict[str, Any]]:
    """Where a Ray container finds them."""
    return [
        {"name": "ray-token", "mountPath": str(RAY_TOKEN_FILE.parent), "readOnly": True},
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - a path in the pod
    ]


def ray_environment() -> list[dict[str, Any]]:
    """Ray's token authentication."""
    return [
        {"name": "RAY_AUTH_MODE", "value": "token"},
        {"name": "RAY_AUTH_TOKEN_PATH", "value": str(RAY_TOKEN_FILE)},
    ]


def model_volumes(model: ModelSource, images: Images) -> list[dict[str, Any]]:
    """The base model as a read-only volume; none if it comes from a hub."""
    if model.image:
        return [{"name": "model", "image": {"reference": model.image, "pullPolicy": images.pull_policy}}]
    if model.claim:
        return [{"name": "model", "persistentVolumeClaim": {"claimName": model.claim, "readOnly": True}}]
    return []


def model_mounts(model: ModelSource) -> list[dict[str, Any]]:
    """Where the model's volume is mounted."""
    return [] if model.hub else [{"name": "model", "mountPath": str(MODEL_DIR), "readOnly": True}]


def environment_volumes(environment: Environment) -> list[dict[str, Any]]:
    """The ConfigMaps with the environment's code and data."""
    names = environment.config_maps()
    return [{"name": f"environment-{index}", "configMap": {"name": name}} for index, name in enumerate(names)]


def environment_mounts(environment: Environment) -> list[dict[str, Any]]:
    """Where the trainer finds them: a directory each."""
    return [
        {"name": f"environment-{index}", "mountPath": str(ENVIRONMENT_FILES / name), "readOnly": True}
        for index, name in enumerate(environment.config_maps())
    ]


def secret_volume(name: str, secret: str) -> dict[str, Any]:
    """A Secret's files, readable by the pod's group alone."""
    return {"name": name, "secret": {"secretName": secret, "defaultMode": 0o440}}


def identity_mount() -> dict[str, Any]:
    """The Node's key: for the attestor's container alone."""
    return {"name": "identity", "mountPath": str(IDENTITY_KEY_FILE.parent), "readOnly": True}


def exchange_mount() -> dict[str, Any]:
    """The credentials for the exchange."""
    return {"name": "exchange", "mountPath": str(EXCHANGE_CREDENTIALS_FILE.parent), "readOnly": True}


def pod_template(
    owner: Owner, role: str, spec: dict[str, Any], template: PodTemplate, annotations: dict[str, str]
) -> dict[str, Any]:
    """The pod with the user's settings merged over it; the labels that the operator selects by always win."""
    return {
        "metadata": {
            "labels": {**template.labels, **labels(owner, role)},
            "annotations": {**template.annotations, **annotations},
        },
        "spec": merge_pod_spec(spec, template.spec),
    }
