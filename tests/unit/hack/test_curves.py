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
