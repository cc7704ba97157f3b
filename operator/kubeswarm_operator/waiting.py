"""Whose status waits for more to be told with it, and until when."""

from collections import Counter

from kubeswarm_operator.decide.pressing import Pace
from kubeswarm_operator.observe.store import Key
from kubeswarm_operator.resources import Resource

Waiter = tuple[Resource, Key]


class Waiting:
    """Objects by when they are to be told of, in seconds of a clock that never goes back.

    What becomes more urgent waits with those that are so; what becomes less so keeps its time.
    """

    def __init__(self) -> None:
        self._due: dict[Waiter, tuple[Pace, float]] = {}  # and the pace at which it waits
        self._waiting: Counter[Pace] = Counter()

    def left(self, waiter: Waiter, pace: Pace, now: float) -> float:
        """Seconds that a status of `pace` should wait for yet; 0 once it has waited long enough."""
        known = self._due.get(waiter)
        if known is None or pace.longest < known[0].longest:
            self.end(waiter)
            due = now + min(max(pace.seconds, self._waiting[pace] / pace.rate), pace.longest)
            known = pace, due if known is None else min(due, known[1])
            self._waiting[pace] += 1
            self._due[waiter] = known
        return max(0.0, known[1] - now)

    def end(self, waiter: Waiter) -> None:
        """It was told of, is as it was told, or is gone."""
        known = self._due.pop(waiter, None)
        if known is not None:
            self._waiting[known[0]] -= 1
