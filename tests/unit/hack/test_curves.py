"""Held-out curves over seeds."""

from pathlib import Path
from typing import Any

import pytest

from hack.experiments import curves


def result(*rewards: float) -> dict[str, Any]:
    points = [{"round": 4 * at, "tasks": {"a": {"reward": reward}}} for at, reward in enumerate(rewards)]
    return {"nodes": [{"heldOut": points}]}


def test_means_and_intervals_over_seeds(tmp_path: Path) -> None:
    found = curves.curves([result(0.1, 0.4), result(0.1, 0.6), result(0.1, 0.8)], "reward")
    first, last = found["a"]
    assert (first.round, first.mean, first.error) == (0, pytest.approx(0.1), pytest.approx(0))
    assert last.mean == pytest.approx(0.6) and last.error == pytest.approx(4.303 * 0.2 / 3**0.5)
    assert curves.table(found).splitlines()[-1] == "| 4 | 0.600 ± 0.497 (0.40, 0.60, 0.80) |"
    curves.plot(found, "reward", tmp_path / "one.svg")
    curves.plot(found, "reward", tmp_path / "two.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_of_several_nodes_the_mean_of_each_seed() -> None:
    both = {"nodes": [*result(0.1, 0.4)["nodes"], *result(0.3, 0.6)["nodes"]]}
    [(before, after)] = curves.curves([both, result(0.0, 0.1)], "reward").values()
    assert before.values == pytest.approx((0.2, 0.0)) and after.values == pytest.approx((0.5, 0.1))


def test_variants_are_told_apart_by_their_labels() -> None:
    one, other = (curves.curves([result(*rewards)], "reward") for rewards in ((0.1, 0.4), (0.1, 0.2)))
    assert curves.compared({"": one}) == one
    assert curves.compared({"shared": one, "alone": other}) == {"shared": one["a"], "alone": other["a"]}
    two = {"a": one["a"], "b": other["a"]}
    assert list(curves.compared({"shared": two, "alone": two})) == ["a, shared", "b, shared", "a, alone", "b, alone"]
