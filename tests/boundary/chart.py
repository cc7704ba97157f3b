"""The chart's values that tests render it with, and what they look for in what was rendered."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from kubeswarm_api import names
from kubeswarm_api.operator_config import OperatorConfig

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "kubeswarm"
NAMESPACE = "kubeswarm-system"
Object = dict[str, Any]
Render = Callable[..., list[Object]]

EVERYTHING: Object = {"prometheus": {"enabled": True}, "indexer": {"enabled": True}}
BARE: Object = {
    "nats": {"enabled": False},
    "devChain": {"enabled": False},
    "dashboard": {"enabled": False},
    "networkPolicy": {"enabled": False},
    "crds": {"install": False},
}
ELSEWHERE: Object = {
    **BARE,
    "watchNamespaces": ["research", "kubeswarm-system"],
    "exchange": {"url": "nats://nats.example.com:4222"},
    "chain": {
        "url": "https://rollup.example.com",
        "chainId": 901,
        "accountSecret": "owner",
        "deployment": {"chainId": 901, "eas": "0x4200000000000000000000000000000000000021"},
    },
    "imagePullSecrets": ["registry"],
    "prometheus": {"enabled": True},
    "indexer": {"enabled": True, "databaseSecret": "postgres"},
}
VARIANTS = {"defaults": {}, "everything": EVERYTHING, "bare": BARE, "elsewhere": ELSEWHERE}


def of_kind(objects: list[Object], *kinds: str) -> Iterator[Object]:
    return (item for item in objects if item["kind"] in kinds)


def named(objects: list[Object], kind: str, name: str) -> Object:
    return next(item for item in of_kind(objects, kind) if item["metadata"]["name"] == name)


def pods(objects: list[Object]) -> list[tuple[str, Object]]:
    return [
        (item["metadata"]["name"], item["spec"]["template"])
        for item in of_kind(objects, "Deployment", "StatefulSet", "Job")
    ]


def operator_config(objects: list[Object]) -> OperatorConfig:
    data = named(objects, "ConfigMap", "kubeswarm-operator")["data"]
    return OperatorConfig.model_validate(yaml.safe_load(data[names.OPERATOR_CONFIG_FILE.name]))
