"""SIGKILL at 20 points drawn from a seed: the run ends as if nothing had happened, bit for bit."""

import os
from pathlib import Path

import pytest

from tests.unit.workers import kills

ROUNDS = 24
POINTS = 20
#: What a round and a start take here; where they take longer the points are nearer to their beginnings.
ROUND_SECONDS, START_SECONDS = 1.0, 30.0


@pytest.mark.engine
@pytest.mark.parametrize("asynchronous", [{}, {"maxStaleness": 1}, {"maxStaleness": 1, "inFlightAfter": 4}], ids=str)
def test_killed_at_many_points_it_ends_bit_for_bit_the_same(
    tiny_model: Path, tmp_path: Path, asynchronous: dict[str, int]
) -> None:
    points = kills.drawn(int(os.environ.get("KILLS_SEED", "0")), POINTS, ROUNDS, ROUND_SECONDS, START_SECONDS)
    assert len(points) == POINTS
    expected, expected_losses = kills.undisturbed(tmp_path / "undisturbed", tiny_model, ROUNDS, asynchronous)
    place, losses = kills.disturbed(tmp_path / "disturbed", tiny_model, ROUNDS, asynchronous, points)
    kills.same(place, losses, expected, expected_losses)
