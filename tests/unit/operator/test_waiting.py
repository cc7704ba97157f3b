"""Statuses that nobody waits for: told together, spread over all objects, and never too late."""

from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_operator.decide.pressing import Pace
from kubeswarm_operator.resources import NODES
from kubeswarm_operator.waiting import Waiter, Waiting

SLOW = Pace(seconds=25.0, rate=1.0, longest=300.0)
QUICK = Pace(seconds=5.0, rate=5.0, longest=30.0)


def one(number: int) -> Waiter:
    return NODES, ("ns", f"light-{number}")


def test_a_status_that_waits_alone_waits_no_longer_than_it_must() -> None:
    waiting = Waiting()
    assert waiting.left(one(0), SLOW, now=1000.0) == 25.0
    assert waiting.left(one(0), SLOW, now=1010.0) == 15.0, "what comes meanwhile is told with it, and puts nothing off"
    assert waiting.left(one(0), SLOW, now=1025.0) == 0.0
    waiting.end(one(0))
    assert waiting.left(one(0), SLOW, now=1026.0) == 25.0


def test_hundreds_at_once_are_told_of_at_the_pace_and_none_too_late() -> None:
    waiting = Waiting()
    left = [waiting.left(one(number), SLOW, now=1000.0) for number in range(1000)]
    assert left[20:28] == [25.0, 25.0, 25.0, 25.0, 25.0, 25.0, 26.0, 27.0]
    assert max(left) == left[-1] == SLOW.longest
    for number in range(1000):
        waiting.end(one(number))
    assert waiting.left(one(0), SLOW, now=1010.0) == 25.0, "nobody waits for those who wait no more"


def test_what_became_more_urgent_waits_with_those_that_are() -> None:
    waiting = Waiting()
    for number in range(1000):
        waiting.left(one(number), SLOW, now=1000.0)
    left = [waiting.left(one(number), QUICK, now=1000.0) for number in range(999, 0, -1)]
    assert left[0] == QUICK.seconds
    assert left[100] == 100 / QUICK.rate
    assert max(left) == QUICK.longest
    assert waiting.left(one(0), SLOW, now=1020.0) == 5.0, "its own time has not changed"


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([SLOW, QUICK]), st.floats(0.0, 20.0)), max_size=60))
def test_nobody_waits_longer_than_the_longest(steps: list[tuple[int, Pace, float]]) -> None:
    waiting, now, since = Waiting(), 1000.0, dict[int, float]()
    for number, pace, passed in steps:
        now += passed
        began = since.setdefault(number, now)
        left = waiting.left(one(number), pace, now)
        assert 0.0 <= left <= pace.longest
        assert now + left <= began + SLOW.longest
        if not left:
            waiting.end(one(number))
            del since[number]
