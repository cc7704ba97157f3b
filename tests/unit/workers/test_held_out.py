"""The held-out measurement: means over items, of all and of each task; the file it is kept in."""

from pathlib import Path

import pytest

from kubeswarm_workers import heldout
from kubeswarm_workers.environments.contract import STRICT, Score


def scores(*rewards: float) -> list[Score]:
    return [Score(reward, {STRICT: float(reward == 1)}) for reward in rewards]


def test_each_task_has_its_own_means(tmp_path: Path) -> None:
    scored = [("a", scores(1, 0)), ("b", scores(1, 1)), ("a", scores(0.2, 0.2))]
    found = heldout.of(scored, 8)
    assert found is not None
    assert (found.round, found.items) == (8, 3)
    assert found.reward == pytest.approx((0.5 + 1 + 0.2) / 3) and found.exact == pytest.approx(0.5)
    a, b = found.tasks["a"], found.tasks["b"]
    assert (a.items, a.reward, a.exact) == (2, pytest.approx(0.35), pytest.approx(0.25))
    assert a.reward_error == pytest.approx(
        1.96 * 0.15
    )  # half the distance over root 2 is the standard deviation / root 2
    assert (b.items, b.reward, b.exact, b.reward_error) == (1, 1, 1, 0)
    heldout.write(tmp_path / "held-out.json", [found])
    assert heldout.read(tmp_path / "held-out.json", 8) == [found]
    assert heldout.read(tmp_path / "held-out.json", 7) == []


def test_without_scores_there_is_no_measurement() -> None:
    assert heldout.of([], 1) is None
