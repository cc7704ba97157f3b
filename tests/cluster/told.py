"""How long after its cause a failure is told."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

from tests.cluster.control_plane import SLOWNESS, until

T = TypeVar("T")
#: Seconds from a cause to the condition that names it.
WITHIN = 30.0
#: Under which name the measured seconds are in a test's properties.
PROPERTY = "told after"


def slowness() -> float:
    """How much slower than a free machine this one is: by how many wait for each of its cores."""
    return min(max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)), SLOWNESS)


class Told:
    """One failure's clock, from when it is made until it is told. `record` notes a property of the test."""

    def __init__(self, record: Callable[[str, object], None]) -> None:
        self._record = record
        self._began = time.monotonic()

    def cause(self) -> None:
        """It happens now."""
        self._began = time.monotonic()

    def told(self, look: Callable[[], T | None], what: str) -> T:
        """What tells it; fails if it comes too late for a machine as busy as this one."""
        found = until(look, WITHIN, what)
        took = time.monotonic() - self._began
        self._record(PROPERTY, f"{what}: {took:.1f} s")
        assert took <= WITHIN * slowness(), f"{what} was told after {took:.1f} s"
        return found
