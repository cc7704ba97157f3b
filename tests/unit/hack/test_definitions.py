"""Waiting for definitions: kubectl, which ends where one has no conditions yet, is asked again."""

import pytest

from hack.cluster.definitions import wait_for_definitions
from hack.console import Problem


def test_a_definition_without_conditions_is_waited_for() -> None:
    said = iter([Problem("error: .status.conditions accessor error: <nil> is of the type <nil>"), "condition met"])

    def kubectl(*_: str) -> str:
        answer = next(said)
        if isinstance(answer, Problem):
            raise answer
        return answer

    wait_for_definitions(kubectl)
    assert list(said) == []


def test_any_other_refusal_is_raised() -> None:
    def kubectl(*_: str) -> str:
        raise Problem("error: timed out waiting for the condition on swarms.kubeswarm.dev")

    with pytest.raises(Problem, match="timed out"):
        wait_for_definitions(kubectl)
