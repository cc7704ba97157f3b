"""The engine actors of one Node: one that dies or takes too long is replaced, unless fewer are wanted by then."""

import logging
import time
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError

from kubeswarm_api import names
from kubeswarm_workers.rollout.engine import Engine
from kubeswarm_workers.rollout.sampling import EngineSpec
from kubeswarm_workers.stopping import Stopped

log = logging.getLogger(__name__)

#: Seconds that one call to an engine may take, the first one after its start included.
CALL_SECONDS = 900.0
#: Engines lost in a row, without one call that worked, before the trainer gives up.
MAX_LOSSES = 5
POLL_SECONDS = 0.5


class EnginesFailed(Exception):
    """Engines fail again and again: the message has the last cause."""


class Engines:
    """`report(text)` is told what is waited for; `stopping()` ends every wait with Stopped.

    `wanted()`: how many engines there should be by now. It is asked while some are waited for, whose pods may have been
    taken away.
    """

    def __init__(
        self,
        spec: EngineSpec,
        engines: int,
        report: Callable[[str], None],
        stopping: Callable[[], bool],
        wanted: Callable[[], int],
        engine: type[Engine],
    ) -> None:
        self._spec = spec
        self._report = report
        self._stopping = stopping
        self._wanted = wanted
        self._actors: list[Any | None] = [None] * engines
        self._fresh: set[int] = set(range(engines))  # those that were sent no weights yet
        self._losses = 0
        self._remote = ray.remote(engine)

    def resize(self, engines: int) -> None:
        """Has this many engines from the next call on; the last ones end where there are too many."""
        for actor in self._actors[engines:]:
            if actor is not None:
                ray.kill(actor)
        self._actors = [*self._actors[:engines], *[None] * (engines - len(self._actors))]
        self._fresh = {index for index in self._fresh if index < engines}

    def start(self, fewer: bool) -> None:
        """Waits until all engines answer; says meanwhile what for. `fewer`: goes on without those no longer wanted.

        Rollout pods may take as long as they like to come; once they are there, an engine has CALL_SECONDS to start.
        """
        joined_since: float | None = None
        starting = {
            index: self._make(index).process_id.remote() for index, actor in enumerate(self._actors) if actor is None
        }
        while starting:
            done, _ = ray.wait(list(starting.values()), timeout=POLL_SECONDS)
            for index in [index for index, ref in starting.items() if ref in done]:
                ref = starting.pop(index)
                try:
                    ray.get(ref)
                except RayError as error:
                    self._lose(index, error)
                    starting[index] = self._make(index).process_id.remote()
            if not starting:
                break
            self._check_stop()
            if fewer:
                starting = self._without_surplus(starting)
            total = len(self._actors)
            joined = int(ray.cluster_resources().get(names.RAY_ENGINE_RESOURCE, 0))
            if joined < total:
                joined_since = None
                self._report(f"waiting for rollout pods: {joined} of {total} have joined")
                continue
            self._report(f"waiting for engines to start: {total - len(starting)} of {total} answer")
            joined_since = joined_since or time.monotonic()
            if time.monotonic() - joined_since > CALL_SECONDS:
                for index in starting:
                    self._lose(index, TimeoutError(f"the engine did not start within {CALL_SECONDS:g} s"))
                    starting[index] = self._make(index).process_id.remote()
                joined_since = None
        self._report("")

    def _without_surplus(self, starting: dict[int, Any]) -> dict[int, Any]:
        """Gives up engines that are waited for and not wanted any more; the others move up to their numbers."""
        surplus = max(0, len(self._actors) - self._wanted())
        gone = set(sorted(starting)[max(0, len(starting) - surplus) :])
        for actor in [self._actors[index] for index in gone]:
            if actor is not None:
                ray.kill(actor)
        kept = [index for index in range(len(self._actors)) if index not in gone]
        number = {index: now for now, index in enumerate(kept)}
        self._actors = [self._actors[index] for index in kept]
        self._fresh = {number[index] for index in self._fresh if index in number}
        return {number[index]: ref for index, ref in starting.items() if index in number}

    def _make(self, index: int) -> Any:
        actor = self._remote.options(num_cpus=0, resources={names.RAY_ENGINE_RESOURCE: 1}, max_restarts=0).remote(
            self._spec
        )
        self._actors[index] = actor
        self._fresh.add(index)
        return actor

    def _lose(self, index: int, cause: BaseException) -> None:
        """Counts the loss of an engine and makes sure that it is gone."""
        self._losses += 1
        text = str(cause).strip().splitlines()
        log.warning(
            "engine lost", extra={"engine": index, "cause": type(cause).__name__, "detail": (text or [""])[-1][:500]}
        )
        actor = self._actors[index]
        if actor is not None:
            ray.kill(actor)
        self._actors[index] = None
        if self._losses >= MAX_LOSSES:
            raise EnginesFailed(f"{self._losses} engines lost in a row; the last one: {type(cause).__name__}: {cause}")

    def _recover(self, work: Callable[[], Any], fewer: bool = True) -> Any:
        """Runs `work`; whenever it loses engines, replaces them, or goes on with `fewer`, and runs it again."""
        while True:
            self.start(fewer)
            result = work()
            if None not in self._actors:
                self._losses = 0
                return result

    def _call(self, group: set[int], method: str, *args: Any) -> dict[int, Any]:
        return self._results(self._begin(self._alike(group, method, *args)))

    def _alike(self, group: set[int], method: str, *args: Any) -> dict[int, tuple[Any, ...]]:
        """The same call to all engines of a group that are there."""
        return {index: (method, *args) for index in sorted(group) if self._actors[index] is not None}

    def _begin(self, calls: dict[int, tuple[Any, ...]]) -> dict[int, Any]:
        """Makes the calls at once."""
        return {index: getattr(self._actors[index], method).remote(*args) for index, (method, *args) in calls.items()}

    def _results(self, refs: dict[int, Any]) -> dict[int, Any]:
        """Waits for calls; engines that fail or take too long are lost and have no result."""
        deadline = time.monotonic() + CALL_SECONDS
        results: dict[int, Any] = {}
        for index, ref in refs.items():
            while not ray.wait([ref], timeout=POLL_SECONDS)[0] and time.monotonic() < deadline:
                self._check_stop()
            try:
                results[index] = ray.get(ref, timeout=0)
            except (RayError, GetTimeoutError) as error:
                self._lose(index, error)
        return results

    def _check_stop(self) -> None:
        if self._stopping():
            raise Stopped

    def close(self) -> None:
        """Ends the engines."""
        for actor in self._actors:
            if actor is not None:
                ray.kill(actor)
        self._actors = []
