"""Whose status waits for more to be told with it, and until when."""

from collections import defaultdict

from kubeswarm_operator.decide.pressing import Pace
from kubeswarm_operator.observe.store import Key
from kubeswarm_operator.resources import Resource

Waiter = tuple[Resource, Key]


class Waiting:
    """Objects by when they are to be told of, in seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._due: dict[Waiter, float] = {}
        self._last: defaultdict[Pace, float] = defaultdict(float)  # when the last of those of a pace is due

    def left(self, waiter: Waiter, pace: Pace, now: float) -> float:
        """Seconds that a status of `pace` should wait for yet; 0 once it has waited long enough."""
        due = self._due.get(waiter)
        if due is None:
            due = self._last[pace] = max(now + pace.seconds, self._last[pace] + 1 / pace.rate)
        self._due[waiter] = due = min(due, now + pace.longest)
        return max(0.0, due - now)

    def end(self, waiter: Waiter) -> None:
        """It was told of, is as it was told, or is gone."""
        self._due.pop(waiter, None)
