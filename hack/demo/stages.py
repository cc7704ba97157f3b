"""The demo's stages, each announced and timed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from hack.console import say


@dataclass
class Stages:
    """The stages of one run with their seconds, in order; one that fails is in it too."""

    seconds: dict[str, float] = field(default_factory=dict)
    failed: str | None = None

    @contextmanager
    def stage(self, name: str, what: str) -> Iterator[None]:
        """Runs one stage."""
        say(f"== {name}: {what}")
        begun = monotonic()
        try:
            yield
        except BaseException:
            self.failed = name
            raise
        finally:
            self.seconds[name] = round(monotonic() - begun, 1)
        say(f"== {name}: {self.seconds[name]:.0f} s")
