"""What of a Node's configuration is taken over in flight, and what needs a restart."""

from typing import Any

import pytest

from tests.unit.operator.things import node_config, node_spec

IN_FLIGHT: list[dict[str, Any]] = [
    {"algorithm": {"learningRate": 0.1}},
    {"sharing": {"external": 9, "maxAgeRounds": 2}},
    {"rollout": {"workers": 5}},
]


@pytest.mark.parametrize("change", IN_FLIGHT)
def test_what_can_change_in_flight_is_followed(change: dict[str, Any]) -> None:
    before, after = (
        node_config(node_spec(rollout={"workers": 1})),
        node_config(node_spec(**{"rollout": {"workers": 1}} | change)),
    )
    assert before != after
    assert before.following(after) == after
    assert before.read_at_start() == after.read_at_start()


@pytest.mark.parametrize("change", [{"rounds": 99}, {"algorithm": {"maxGradNorm": 0.5}}, {"rollout": {"maxTokens": 7}}])
def test_what_else_changes_is_not(change: dict[str, Any]) -> None:
    before, after = node_config(node_spec()), node_config(node_spec(**change))
    assert before.following(after) == before
    assert before.read_at_start() != after.read_at_start()


def test_what_is_default_is_left_out() -> None:
    compact = node_config(node_spec(algorithm={"prompts": 8, "groupSize": 3})).to_compact()
    assert compact["training"]["algorithm"] == {"groupSize": 3}
    assert "sharing" not in compact["training"]
    config = node_config(node_spec(algorithm={"groupSize": 3}))
    assert type(config).model_validate(config.to_compact()) == config
