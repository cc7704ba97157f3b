"""The curriculum follows what was measured, and a draw stays a function of its arguments."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_workers import curriculum
from kubeswarm_workers.environments.contract import Score
from kubeswarm_workers.environments.split import Split
from kubeswarm_workers.progress import Progress
from kubeswarm_workers.tally import Tally
from tests.unit.workers.conftest import environment_of
from tests.unit.workers.test_gaming import episode

LEVELS: dict[str, Any] = {
    "reasoningGym": {
        "tasks": [
            {"name": "spell_backward", "label": label, "args": {"min_word_len": size, "max_word_len": size + 1}}
            for label, size in (("easy", 3), ("middle", 5), ("hard", 7))
        ],
        "shots": 0,
    }
}


@pytest.fixture(scope="module")
def levels() -> Split:
    return environment_of(LEVELS, 0, 0)


def tally(*strict: float, reward: float = 0.0) -> Tally:
    made = Tally()
    made.add((episode("x"), Score(reward, {"strict": each})) for each in strict)
    return made


def drawn(environment: Split, emphasis: dict[str, float]) -> Counter[str]:
    return Counter(prompt.task for round in range(1, 61) for prompt in environment.draw(0, round, 10, emphasis))


def test_what_teaches_most_is_drawn_most(levels: Split) -> None:
    even = drawn(levels, {})
    assert all(150 < even[task] < 250 for task in ("easy", "middle", "hard"))
    means = curriculum.measured({}, {"easy": tally(1, 1, 1), "middle": tally(1, 0), "hard": tally(0, 0)})
    followed = drawn(levels, curriculum.emphasis(means, 0.1))
    assert followed["middle"] > 450 and followed["easy"] > 20 and followed["hard"] > 20
    assert drawn(levels, curriculum.emphasis(means, 0.1)) == followed


def test_a_task_that_gets_easier_is_drawn_less() -> None:
    means: dict[str, float] = {}
    factors: list[float] = []
    for share in (0, 0, 1, 1, 1, 1, 1, 1, 1, 1):
        means = curriculum.measured(means, {"a": tally(share)})
        factors.append(curriculum.emphasis(means, 0.1)["a"])
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) > 0.95 and factors[-1] < 0.4
    assert curriculum.measured(means, {}) == means  # not drawn, not forgotten


def test_without_a_strict_part_the_reward_counts() -> None:
    made = Tally()
    made.add([(episode("x"), Score(7.0))])
    assert curriculum.measured({}, {"a": made}) == {"a": 1.0}
    assert curriculum.measured({}, {"a": Tally()}) == {}


@given(st.dictionaries(st.text(max_size=5), st.floats(0, 1)), st.floats(0.01, 1))
def test_a_factor_lies_between_the_floor_and_1(means: dict[str, float], floor: float) -> None:
    assert all(floor - 1e-9 <= factor <= 1 + 1e-9 for factor in curriculum.emphasis(means, floor).values())


def test_it_is_part_of_what_a_checkpoint_keeps() -> None:
    progress = Progress(means={"a": 0.1 + 0.2})
    assert Progress.from_json(progress.to_json()) == progress
