"""What the chain and the exchange are to be asked about: from the objects that there are."""

from kubeswarm_api.conditions import ConditionType
from kubeswarm_api.node import NodeStatus
from kubeswarm_api.swarm import SwarmSpec, SwarmStatus
from kubeswarm_operator.chain import NodeTarget, SwarmTarget, Targets
from kubeswarm_operator.decide.identity import salt, swarm_id
from kubeswarm_operator.observe.parsing import parse_spec, parse_status
from kubeswarm_operator.observe.snapshot import ChainFacts
from kubeswarm_operator.observe.store import Store
from kubeswarm_operator.resources import NODES, SWARMS


def chain_targets(store: Store, facts: ChainFacts) -> Targets:
    """The Swarms and Nodes that the chain knows or should know."""
    swarms: list[SwarmTarget] = []
    for live in store.all(SWARMS):
        spec, _ = parse_spec(SwarmSpec, live)
        if spec is None or facts.owner is None or "deletionTimestamp" in live["metadata"]:
            continue
        uid = live["metadata"]["uid"]
        recorded = parse_status(SwarmStatus, live).swarm_id
        identity = swarm_id(uid, facts.owner, recorded)
        ours = identity == swarm_id(uid, facts.owner, None)
        swarms.append(SwarmTarget(identity, salt(uid) if ours else None, spec.training_digest()))
    nodes: list[NodeTarget] = []
    for live in store.all(NODES):
        status = parse_status(NodeStatus, live)
        if status.swarm_id and status.node_id:
            complete = any(c.type == ConditionType.COMPLETE and c.status == "True" for c in status.conditions)
            nodes.append(NodeTarget(status.swarm_id, status.node_id, active=not complete))
    return Targets(tuple(swarms), tuple(nodes))


def swarm_ids(store: Store) -> set[str]:
    """Ids of the Swarms whose streams are kept."""
    alive = (live for live in store.all(SWARMS) if "deletionTimestamp" not in live["metadata"])
    ids = ((live.get("status") or {}).get("swarmId") for live in alive)
    return {each for each in ids if each}
