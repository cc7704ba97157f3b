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
@pytest.mark.parametrize("staleness", [0, 1])
def test_killed_at_many_points_it_ends_bit_for_bit_the_same(tiny_model: Path, tmp_path: Path, staleness: int) -> None:
    points = kills.drawn(int(os.environ.get("KILLS_SEED", "0")), POINTS, ROUNDS, ROUND_SECONDS, START_SECONDS)
    assert len(points) == POINTS
    expected, expected_losses = kills.undisturbed(tmp_path / "undisturbed", tiny_model, ROUNDS, staleness)
    place, losses = kills.disturbed(tmp_path / "disturbed", tiny_model, ROUNDS, staleness, points)
    kills.same(place, losses, expected, expected_losses)
