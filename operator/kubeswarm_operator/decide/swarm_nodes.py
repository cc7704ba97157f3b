"""Which Nodes a Swarm should have, and which of those that it has should go."""

from dataclasses import dataclass

from kubeswarm_api.names import node_name
from kubeswarm_operator.decide.children import controls
from kubeswarm_operator.observe.snapshot import SwarmSnapshot
from kubeswarm_operator.resources import Object


@dataclass(frozen=True)
class SwarmNodes:
    """The plan for a Swarm's Nodes."""

    indices: tuple[int, ...]  # to exist
    surplus: tuple[Object, ...]  # to be deleted, the highest index first
    taken: tuple[str, ...]  # names that belong to others


def swarm_nodes(snapshot: SwarmSnapshot) -> SwarmNodes:
    """Indices count from 0 without gaps, so that scaling down takes the highest ones away."""
    wanted = snapshot.spec.nodes if snapshot.spec else 0
    name, uid = snapshot.live["metadata"]["name"], snapshot.live["metadata"]["uid"]
    names = {node_name(name, index): index for index in range(wanted)}
    mine = [live for live in snapshot.nodes if controls(uid, live)]
    surplus = [live for live in mine if live["metadata"]["name"] not in names]
    surplus.sort(key=lambda live: live.get("spec", {}).get("index", 0), reverse=True)
    taken = tuple(sorted(snapshot.taken & names.keys()))
    indices = tuple(index for each, index in names.items() if each not in snapshot.taken)
    return SwarmNodes(indices, tuple(surplus), taken)
