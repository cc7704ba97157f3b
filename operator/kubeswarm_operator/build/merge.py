"""Strategic merge of a user's partial PodSpec over a built one: lists with a merge key are merged by it.

As in Kubernetes: maps merge field by field, null removes a field, `$patch: delete` removes a list item, lists without a
merge key are replaced. Items of the user's that match none are added after the built ones.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from kubeswarm_api.names import ATTESTOR_CONTAINER

#: Merge keys of a PodSpec's lists (the patchMergeKey of the API types), by the name of the field.
MERGE_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "ports": ("containerPort", "protocol"),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "resourceClaims": ("name",),
    "schedulingGates": ("name",),
}
_DEFAULTS = {"protocol": "TCP"}
#: Fields of which a change means another kind: what is built is dropped, not merged into.
_VOLUME_FIELDS_KEPT = frozenset({"name"})


def merge_pod_spec(built: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """`built` with `patch` over it; neither is changed. An attestor among the patch's containers means the sidecar."""
    patch = dict(patch)
    containers = patch.get("containers")
    if isinstance(containers, list):
        sidecar = [item for item in containers if isinstance(item, dict) and item.get("name") == ATTESTOR_CONTAINER]
        if sidecar:
            patch["containers"] = [item for item in containers if item not in sidecar]
            patch["initContainers"] = [*(patch.get("initContainers") or []), *sidecar]
    return _merge_map(built, patch, "")


def _merge_map(built: Mapping[str, Any], patch: Mapping[str, Any], field: str) -> dict[str, Any]:
    out = {key: deepcopy(value) for key, value in built.items()}
    if (
        field == "volumes"
        and patch.keys() - _VOLUME_FIELDS_KEPT
        and not patch.keys() & out.keys() - _VOLUME_FIELDS_KEPT
    ):
        out = {key: value for key, value in out.items() if key in _VOLUME_FIELDS_KEPT}  # another volume source
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = _merge_map(out[key], value, key)
        elif isinstance(value, list) and key in MERGE_KEYS and _keyed(value, key):
            out[key] = _merge_list(out.get(key) or [], value, key)
        else:
            out[key] = _without_nulls(value)
    return out


def _keyed(items: list[Any], field: str) -> bool:
    first = MERGE_KEYS[field][0]
    return all(isinstance(item, dict) and first in item for item in items)


def _identity(item: Mapping[str, Any], field: str) -> tuple[Any, ...]:
    return tuple(item.get(key, _DEFAULTS.get(key)) for key in MERGE_KEYS[field])


def _merge_list(built: list[Any], patch: list[Any], field: str) -> list[Any]:
    out = [deepcopy(item) for item in built]
    for item in patch:
        at = next((i for i, one in enumerate(out) if _identity(one, field) == _identity(item, field)), None)
        if item.get("$patch") == "delete":
            if at is not None:
                del out[at]
        elif at is None:
            out.append(_without_nulls(item))
        else:
            out[at] = _merge_map(out[at], item, field)
    return out


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value
