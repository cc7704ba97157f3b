"""Progress lines, and programs that are run to the end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

_started = time.monotonic()


class Problem(Exception):
    """Something that the person at the keyboard can put right; the message says what and how."""


def say(message: str) -> None:
    """Print one progress line, with the seconds since this command began."""
    print(f"[{time.monotonic() - _started:6.1f}s] {message}", file=sys.stderr, flush=True)


def exit_with(main: Callable[[], int]) -> NoReturn:
    """End this process with the command's status; a Problem is one line and status 1, an interrupt 130."""
    try:
        sys.exit(main())
    except Problem as problem:
        say(f"error: {problem}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


@contextmanager
def step(message: str) -> Iterator[None]:
    """Announce a step, and say how many seconds it took once it is done."""
    say(f"{message} ...")
    begun = time.monotonic()
    yield
    say(f"{message}: done in {time.monotonic() - begun:.1f} s")


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    text: str | None = None,
) -> str:
    """Run a program to its end and return its standard output.

    `env` adds to this process's environment; `text` is its standard input.
    Raises Problem with the last lines that it printed when it is missing or fails.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as missing:
        raise Problem(f"{words[0]} is not installed") from missing
    if done.returncode != 0:
        tail = "\n  ".join((done.stdout + done.stderr).strip().splitlines()[-25:])
        raise Problem(f"`{' '.join(words[:6])} ...` failed with status {done.returncode}:\n  {tail}")
    return done.stdout
