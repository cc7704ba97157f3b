"""A new operator under running Swarms: what an earlier build stored still parses, and its pods are left alone.

`previous/` holds a Node with its objects as an earlier build made them. Where a change of the templates is meant, all
pods are replaced at the upgrade, in turn: say so in the release notes, and record anew with
`python -m tests.unit.operator.test_upgrade`.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from kubeswarm_api.node import NodeSpec, NodeStatus
from kubeswarm_api.swarm import SwarmSpec
from kubeswarm_operator.build.network_policy import Peers
from kubeswarm_operator.build.objects import objects
from kubeswarm_operator.decide.children import differs
from kubeswarm_operator.decide.replicas import Replicas
from kubeswarm_operator.decide.turns import replaces_pods
from kubeswarm_operator.observe.parsing import parse_spec, parse_status
from tests.unit.operator.things import IMAGES, OWNER, node_config, node_spec

FOLDER = Path(__file__).parent / "previous"
SPECS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rollout-pods": {
        "rollout": {"workers": 2, "maxTokens": 20},
        "algorithm": {"learningRate": 0.0004, "prompts": 12},
        "template": {"head": {"spec": {"nodeSelector": {"disk": "fast"}}}},
    },
}


def _objects(spec: NodeSpec) -> list[dict[str, Any]]:
    peers = Peers("kubeswarm-system", "http://chain:8545", "nats://exchange:4222", hub=False)
    replicas, secrets = Replicas(1, spec.rollout.workers, spec.rollout.workers), ("uid-ray", "0x01")
    return objects(OWNER, spec, node_config(spec), IMAGES, peers, replicas, secrets, "light-0-exchange")


@pytest.mark.parametrize("name", SPECS)
def test_pods_of_an_earlier_build_are_left_alone(name: str) -> None:
    stored = json.loads((FOLDER / f"{name}.json").read_text())
    spec, invalid = parse_spec(NodeSpec, stored["node"])
    assert spec is not None, invalid
    assert parse_status(NodeStatus, stored["node"]).round == 7
    live = {(each["kind"], each["metadata"]["name"]): each for each in stored["objects"]}
    made = _objects(spec)
    assert {(each["kind"], each["metadata"]["name"]) for each in made} == live.keys()
    assert not replaces_pods(live, made)
    for each in made:
        if "template" in each.get("spec", {}):
            assert not differs(
                live[each["kind"], each["metadata"]["name"]]["spec"]["template"], each["spec"]["template"]
            )


def test_a_spec_that_lacks_all_that_came_later_parses() -> None:
    """The least that any version stored."""
    least = {
        "model": {"image": "m:v1"},
        "environment": {"reasoningGym": {"tasks": [{"name": "chain_sum"}]}},
    }
    meta = {"uid": "u", "name": "n", "namespace": "s"}
    assert parse_spec(SwarmSpec, {"metadata": meta, "spec": least}) == (SwarmSpec.model_validate(least), "")
    joined = {**least, "swarm": {"name": "light"}}
    assert parse_spec(NodeSpec, {"metadata": meta, "spec": joined}) == (NodeSpec.model_validate(joined), "")


def record() -> None:
    """Writes `previous/` by this build."""
    FOLDER.mkdir(exist_ok=True)
    for name, changes in SPECS.items():
        spec = node_spec(**changes)
        meta = {"namespace": "research", "name": "light-0", "uid": "uid-0"}
        node = {"metadata": meta, "spec": spec.to_json(), "status": {"round": 7}}
        text = json.dumps({"node": node, "objects": _objects(spec)}, indent=1, sort_keys=True)
        (FOLDER / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    record()
