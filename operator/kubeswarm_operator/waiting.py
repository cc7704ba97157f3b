"""Whose status waits for more to be told with it, and until when."""

from collections import Counter

from kubeswarm_operator.decide.pressing import Pace
from kubeswarm_operator.observe.store import Key
from kubeswarm_operator.resources import Resource

Waiter = tuple[Resource, Key]


class Waiting:
    """Objects by when they are to be told of, in seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._due: dict[Waiter, tuple[Pace, float]] = {}  # and the pace at which it began to wait
        self._waiting: Counter[Pace] = Counter()

    def left(self, waiter: Waiter, pace: Pace, now: float) -> float:
        """Seconds that a status of `pace` should wait for yet; 0 once it has waited long enough."""
        known = self._due.get(waiter)
        if known is None:
            known = pace, now + max(pace.seconds, self._waiting[pace] / pace.rate)
            self._waiting[pace] += 1
        due = min(known[1], now + pace.longest)
        self._due[waiter] = known[0], due
        return max(0.0, due - now)

    def end(self, waiter: Waiter) -> None:
        """It was told of, is as it was told, or is gone."""
        known = self._due.pop(waiter, None)
        if known is not None:
            self._waiting[known[0]] -= 1
