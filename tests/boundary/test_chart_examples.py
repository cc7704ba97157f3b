"""The manifests in examples/ are what the API takes, and the Node of its own trains what its Swarm trains."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeswarm_api.base import API_VERSION
from kubeswarm_api.node import NodeSpec
from kubeswarm_api.swarm import SwarmSpec

EXAMPLES = Path(__file__).parents[2] / "examples"
SPECS = {"Swarm": SwarmSpec, "Node": NodeSpec}


def load(name: str) -> dict[str, Any]:
    return yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_an_example_is_valid(path: Path) -> None:
    document = load(path.name)
    assert document["apiVersion"] == API_VERSION
    SPECS[document["kind"]].model_validate(document["spec"])


def test_the_swarm_is_about_ten_lines() -> None:
    lines = (EXAMPLES / "swarm.yaml").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if not line.startswith("#")]) <= 10


def test_the_visitor_trains_the_swarms_model_on_the_swarms_task() -> None:
    swarm, node = load("swarm.yaml"), load("node-with-rollout-pod.yaml")
    assert node["spec"]["swarm"] == {"name": swarm["metadata"]["name"]}
    assert node["spec"]["index"] >= swarm["spec"]["nodes"]
    assert node["spec"]["model"] == swarm["spec"]["model"]
    assert node["spec"]["environment"]["reasoningGym"] == swarm["spec"]["environment"]["reasoningGym"]
    assert node["spec"]["rollout"]["workers"] == 1
