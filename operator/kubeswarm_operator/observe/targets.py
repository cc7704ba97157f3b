"""What the chain and the exchange are to be asked about: from the objects that there are.

Ids don't wait for the first status, which comes late: a stream and a key with money should be there before the pods.
"""

from kubeswarm_api.conditions import ConditionType
from kubeswarm_api.names import identity_name
from kubeswarm_api.node import NodeSpec, NodeStatus
from kubeswarm_api.swarm import SwarmSpec, SwarmStatus
from kubeswarm_contracts import node_id
from kubeswarm_operator.build.secrets import ADDRESS_ANNOTATION
from kubeswarm_operator.chain import NodeTarget, SwarmTarget, Targets
from kubeswarm_operator.decide.identity import salt, swarm_id
from kubeswarm_operator.observe.parsing import parse_spec, parse_status
from kubeswarm_operator.observe.snapshot import ChainFacts
from kubeswarm_operator.observe.store import Store
from kubeswarm_operator.resources import NODES, SECRETS, SWARMS, Object


def chain_targets(store: Store, facts: ChainFacts) -> Targets:
    """The Swarms and Nodes that the chain knows or should know."""
    swarms: list[SwarmTarget] = []
    for live in store.all(SWARMS):
        spec, _ = parse_spec(SwarmSpec, live)
        if spec is None or facts.owner is None or "deletionTimestamp" in live["metadata"]:
            continue
        uid, identity = live["metadata"]["uid"], _swarm_id(live, facts)
        ours = identity == swarm_id(uid, facts.owner, None)
        swarms.append(SwarmTarget(identity, salt(uid) if ours else None, spec.training_digest()))
    nodes: list[NodeTarget] = []
    for live in store.all(NODES):
        status = parse_status(NodeStatus, live)
        swarm, node = status.swarm_id or _joined(store, live, facts), status.node_id or _address(store, live)
        if swarm and node:
            complete = any(c.type == ConditionType.COMPLETE and c.status == "True" for c in status.conditions)
            nodes.append(NodeTarget(swarm, node, active=not complete))
    return Targets(tuple(swarms), tuple(nodes))


def swarm_ids(store: Store, facts: ChainFacts) -> set[str]:
    """Ids of the Swarms whose streams are kept."""
    alive = (live for live in store.all(SWARMS) if "deletionTimestamp" not in live["metadata"])
    return {_swarm_id(live, facts) for live in alive}


def _swarm_id(swarm: Object, facts: ChainFacts) -> str:
    return swarm_id(swarm["metadata"]["uid"], facts.owner, parse_status(SwarmStatus, swarm).swarm_id)


def _joined(store: Store, node: Object, facts: ChainFacts) -> str | None:
    """The id of the Swarm that a Node takes part in."""
    spec, _ = parse_spec(NodeSpec, node)
    if spec is None:
        return None
    if spec.swarm.join is not None:
        return spec.swarm.join.swarm_id
    swarm = store.get(SWARMS, node["metadata"]["namespace"], spec.swarm.name or "")
    return _swarm_id(swarm, facts) if swarm else None


def _address(store: Store, node: Object) -> str | None:
    """A Node's id, once it has a key."""
    secret = store.get(SECRETS, node["metadata"]["namespace"], identity_name(node["metadata"]["name"]))
    address = ((secret or {}).get("metadata", {}).get("annotations") or {}).get(ADDRESS_ANNOTATION)
    return node_id(address) if address else None
