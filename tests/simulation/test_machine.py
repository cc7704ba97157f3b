"""The machine's runs: five hundred steps that are always the same, and in `make soak` ten thousand random ones."""

import math
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from hack.simulation.plane import Plane
from tests.simulation.machine import Machine, described
from tests.simulation.world import world

#: Of one machine at most, which hypothesis may end before.
STEPS = 50


def _run(plane: Plane, folder: Path, steps: int, derandomize: bool) -> None:
    before = Machine.steps
    with world(plane, folder) as made:
        Machine.world = made
        while (left := steps - (Machine.steps - before)) > 0:
            try:
                _run_machines(math.ceil(left / STEPS), derandomize)
            except Exception as error:  # of a repetition, which ends at once: what was found first is what counts
                audit = shutil.copy(plane.layout.logs / "audit.log", folder)
                told = f"The witness missed writes {made.gaps} times. All requests: {audit}"
                raise AssertionError(f"{Machine.failed or error}\n{told}") from error
        print(f"{Machine.steps - before} steps: {described(Machine.seen)}; faults met: {made.met}")
        print(f"starts: {made.starts}; the witness missed writes {made.gaps} times")


def _run_machines(machines: int, derandomize: bool) -> None:
    # A failure is told with all that was done: looking for a shorter one would take hours, each step being real.
    chosen = settings(
        max_examples=machines + 1,  # hypothesis begins with a trivial one
        stateful_step_count=STEPS,
        derandomize=derandomize,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        report_multiple_bugs=False,
    )
    run_state_machine_as_test(Machine, settings=chosen)


def test_ends_where_the_specs_say_in_500_steps(plane: Plane, tmp_path: Path) -> None:
    _run(plane, tmp_path, steps=500, derandomize=True)


@pytest.mark.soak
@pytest.mark.parametrize("quarter", range(4))
def test_ends_where_the_specs_say_in_10000_steps(plane: Plane, tmp_path: Path, quarter: int) -> None:
    _run(plane, tmp_path, steps=2500, derandomize=False)
