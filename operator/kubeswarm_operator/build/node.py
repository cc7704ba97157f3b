"""A Swarm's Node: the whole spec of the Swarm, with its place in it."""

from kubeswarm_api.names import APP, APP_LABEL, FIELD_MANAGER, MANAGED_BY_LABEL, SWARM_LABEL, node_name
from kubeswarm_api.swarm import SwarmSpec
from kubeswarm_operator.build.meta import Owner, swarm_owner_reference
from kubeswarm_operator.resources import NODES, Object


def node(swarm: Owner, spec: SwarmSpec, index: int, workers: int | None = None) -> Object:
    """The Node of that index. `workers`: rollout pods that an autoscaler has set, where it may."""
    made = spec.node(swarm.name, index).to_json()
    if workers is not None:
        made["rollout"]["workers"] = workers
    return {
        "apiVersion": NODES.api_version,
        "kind": NODES.kind,
        "metadata": {
            "namespace": swarm.namespace,
            "name": node_name(swarm.name, index),
            "labels": {APP_LABEL: APP, MANAGED_BY_LABEL: FIELD_MANAGER, SWARM_LABEL: swarm.name},
            "ownerReferences": [swarm_owner_reference(swarm)],
        },
        "spec": made,
    }
