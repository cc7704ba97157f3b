"""Manifests that tests start from."""

from copy import deepcopy
from typing import Any

#: The head pod of `swarm`'s first Node.
POD = "light-0-head-0"
#: A template whose head no scheduler judges.
UNJUDGED: dict[str, Any] = {"head": {"spec": {"schedulerName": "nobody"}}}
TRAINING: dict[str, Any] = {
    "rounds": 24,
    "model": {"image": "kubeswarm/smollm2-135m-instruct:v1", "lora": {"rank": 16}},
    "environment": {"reasoningGym": {"tasks": [{"name": "needle_haystack"}]}},
}


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes` over it; None removes a field."""
    out = deepcopy(base)
    for key, value in changes.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merged(out[key], value)
        else:
            out[key] = value
    return out


def swarm(namespace: str, name: str = "light", **changes: Any) -> dict[str, Any]:
    """A Swarm, with changes to its spec."""
    return {
        "apiVersion": "kubeswarm.dev/v1alpha1",
        "kind": "Swarm",
        "metadata": {"name": name, "namespace": namespace},
        "spec": merged(TRAINING, changes),
    }


def node(namespace: str, name: str = "light-0", **changes: Any) -> dict[str, Any]:
    """A Node that stands alone."""
    return {
        "apiVersion": "kubeswarm.dev/v1alpha1",
        "kind": "Node",
        "metadata": {"name": name, "namespace": namespace},
        "spec": merged({**TRAINING, "swarm": {"name": "light"}}, changes),
    }
