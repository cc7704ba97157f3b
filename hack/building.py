"""One build of a thing at a time, over all processes: two commands at once would do everything twice."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hack.console import say


@contextmanager
def building(folder: Path, name: str) -> Iterator[None]:
    """Holds the lock of `name` in `folder`; says so where it has to wait for it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another build of {name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
