"""A queue of keys for passes: deduplicating, spaced, with exponential back-off and one heap of deadlines.

A key that is added while its pass runs is run once more afterwards, never twice at a time.
"""

import asyncio
import heapq
import itertools
import random
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

#: Seconds between the starts of two passes of one key, so that a burst of events costs one pass.
SPACING = 0.5
#: Seconds of the first and the longest wait after failed passes.
BACKOFF_FIRST, BACKOFF_LAST = 0.5, 60.0


class WorkQueue(Generic[K]):
    """Keys that wait for a pass. For one event loop; no locks."""

    def __init__(self, spacing: float = SPACING) -> None:
        self._spacing = spacing
        self._due: dict[K, float] = {}  # the truth; heap entries that disagree are stale
        self._heap: list[tuple[float, int, K]] = []
        self._serial = itertools.count()
        self._started: dict[K, float] = {}
        self._running: set[K] = set()
        self._failures: dict[K, int] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        """Keys that wait, whether they are due or not."""
        return len(self._due)

    def depth(self) -> int:
        """Keys that are due and wait for a worker."""
        now = asyncio.get_running_loop().time()
        return sum(1 for due in self._due.values() if due <= now)

    def add(self, key: K, delay: float = 0.0, afresh: bool = False) -> None:
        """Asks for a pass of `key` in `delay` seconds, or sooner if that was asked already.

        Events don't shorten a back-off, because a failing pass may cause events itself. `afresh` ends it: what the key
        stands for was changed by its user.
        """
        now = asyncio.get_running_loop().time()
        due = now + delay
        if key in self._started:
            due = max(due, self._started[key] + self._spacing)
        if afresh:
            self._failures.pop(key, None)
        elif key in self._failures and key in self._due:
            return
        if key in self._due and self._due[key] <= due:
            return
        self._due[key] = due
        heapq.heappush(self._heap, (due, next(self._serial), key))
        self._wake.set()

    def forget(self, key: K) -> None:
        """Drops what is remembered of a key whose object is gone."""
        for memory in (self._due, self._started, self._failures):
            memory.pop(key, None)

    async def get(self) -> K:
        """The next key that is due; the caller must call `done` for it."""
        while True:
            now = asyncio.get_running_loop().time()
            wait: float | None = None
            blocked: list[tuple[float, int, K]] = []
            found: K | None = None
            while self._heap:
                due, serial, key = self._heap[0]
                if self._due.get(key) != due:
                    heapq.heappop(self._heap)
                    continue
                if due > now:
                    wait = due - now
                    break
                heapq.heappop(self._heap)
                if key in self._running:
                    blocked.append((due, serial, key))
                    continue
                found = key
                break
            for entry in blocked:
                heapq.heappush(self._heap, entry)
            if found is not None:
                del self._due[found]
                self._running.add(found)
                self._started[found] = now
                return found
            self._wake.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def done(self, key: K, ok: bool, again: float | None = None) -> None:
        """Ends a pass. `ok` False: the key comes back after its back-off; `again`: seconds to its next pass."""
        self._running.discard(key)
        if ok:
            self._failures.pop(key, None)
            if again is not None:
                self.add(key, again)
        else:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            backoff = min(BACKOFF_LAST, BACKOFF_FIRST * 2 ** min(failures - 1, 16))
            self.add(key, backoff * random.uniform(0.8, 1.2))  # noqa: S311 - spreads retries, guards nothing
        self._wake.set()

    async def work(self, run: Callable[[K], Awaitable[tuple[bool, float | None]]]) -> None:
        """One worker: passes for ever. `run` returns (ok, seconds to the next pass or None) and never raises."""
        while True:
            key = await self.get()
            ok, again = False, None
            try:
                ok, again = await run(key)
            finally:
                self.done(key, ok, again)
