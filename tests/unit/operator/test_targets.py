"""Chain and exchange hear of Swarms and Nodes before a status tells of them."""

import itertools
from typing import Any

from kubeswarm_api.names import NODE_LABEL, identity_name
from kubeswarm_api.node import NodeStatus
from kubeswarm_operator.build.secrets import ADDRESS_ANNOTATION
from kubeswarm_operator.decide.identity import swarm_id
from kubeswarm_operator.observe.snapshot import ChainFacts
from kubeswarm_operator.observe.store import Store
from kubeswarm_operator.observe.targets import chain_targets, swarm_ids
from kubeswarm_operator.resources import NODES, SECRETS, SWARMS
from tests.cluster.manifests import TRAINING
from tests.unit.operator.things import SWARM_ID, node_object

OWNER, ADDRESS = "0x" + "22" * 20, "0x" + "Ab" * 20
FACTS = ChainFacts(configured=True, owner=OWNER)
_version = itertools.count(10)


def _store(status: dict[str, Any] | None = None, membership: dict[str, Any] | None = None) -> Store:
    """A Swarm and a Node, seen for the first time, and the Secret with the Node's key."""
    store, version = Store(), str(next(_version))  # what is parsed is remembered by it
    meta = {"namespace": "research", "name": "light", "uid": "uid-s", "resourceVersion": version, "generation": 1}
    store.put(SWARMS, {"metadata": meta, "spec": TRAINING, "status": status or {}})
    node = node_object(0, resourceVersion=version, generation=int(version))
    spec = {**TRAINING, "swarm": membership or {"name": "light"}}
    store.put(NODES, {**node, "spec": spec, "status": NodeStatus().to_json()})
    named = {"namespace": "research", "name": identity_name("light-0"), "uid": "uid-k", "resourceVersion": version}
    marks = {"labels": {NODE_LABEL: "light-0"}, "annotations": {ADDRESS_ANNOTATION: ADDRESS}}
    store.put(SECRETS, {"metadata": {**named, **marks}})
    return store


def test_what_is_new_has_the_ids_that_its_first_status_will_tell() -> None:
    store, expected = _store(), swarm_id("uid-s", OWNER, None)
    targets = chain_targets(store, FACTS)
    assert [(each.swarm_id, each.salt is not None) for each in targets.swarms] == [(expected, True)]
    assert [(each.swarm_id, each.node_id) for each in targets.nodes] == [(expected, ADDRESS.lower())]
    assert swarm_ids(store, FACTS) == {expected}


def test_what_was_recorded_stays() -> None:
    store = _store({"swarmId": SWARM_ID})
    assert swarm_ids(store, FACTS) == {SWARM_ID}
    assert [each.swarm_id for each in chain_targets(store, FACTS).nodes] == [SWARM_ID]


def test_a_node_that_joined_is_of_the_swarm_that_it_names() -> None:
    store = _store(membership={"join": {"swarmId": SWARM_ID, "credentials": "creds"}})
    assert [each.swarm_id for each in chain_targets(store, FACTS).nodes] == [SWARM_ID]


def test_a_node_without_a_key_is_no_target() -> None:
    store = _store()
    secret = store.get(SECRETS, "research", identity_name("light-0"))
    assert secret is not None
    store.remove(SECRETS, secret)
    assert chain_targets(store, FACTS).nodes == ()
