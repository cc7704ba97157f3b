"""Metadata that all built objects share."""

from dataclasses import dataclass
from typing import Any

from kubeswarm_api.names import (
    APP,
    APP_LABEL,
    COMPONENT_LABEL,
    FIELD_MANAGER,
    MANAGED_BY_LABEL,
    NODE_LABEL,
    ROLE_LABEL,
    SWARM_LABEL,
)
from kubeswarm_operator.resources import NODES, SWARMS, Object, Resource


@dataclass(frozen=True)
class Owner:
    """The Node or Swarm that an object is built for."""

    namespace: str
    name: str
    uid: str
    swarm: str = ""  # the Swarm's name; empty for a Node that joined one from elsewhere


def labels(owner: Owner, role: str | None = None) -> dict[str, str]:
    """Labels of a Node's object; `role` (head or rollout) for pods and what belongs to one kind of them."""
    out = {APP_LABEL: APP, MANAGED_BY_LABEL: FIELD_MANAGER, NODE_LABEL: owner.name}
    if owner.swarm:
        out[SWARM_LABEL] = owner.swarm
    if role:
        out[ROLE_LABEL] = role
        out[COMPONENT_LABEL] = role
    return out


def pod_selector(owner: Owner, role: str) -> dict[str, str]:
    """The labels that pick a Node's pods of one role, and no others. They never change."""
    return {APP_LABEL: APP, NODE_LABEL: owner.name, ROLE_LABEL: role}


def owner_reference(owner: Owner, resource: Resource) -> dict[str, Any]:
    """The reference by which the object goes when its owner goes."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def manifest(
    resource: Resource,
    owner: Owner,
    name: str,
    body: Object,
    *,
    role: str | None = None,
    annotations: dict[str, str] | None = None,
    owned: bool = True,
) -> Object:
    """A Node's object. `owned` False: it outlives the Node."""
    meta: Object = {"namespace": owner.namespace, "name": name, "labels": labels(owner, role)}
    if annotations:
        meta["annotations"] = annotations
    meta["ownerReferences"] = [owner_reference(owner, NODES)] if owned else []
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta, **body}


def swarm_owner_reference(owner: Owner) -> dict[str, Any]:
    """The reference from a Node to its Swarm."""
    return owner_reference(owner, SWARMS)
