"""When rounds go to the chain, and that each gets there once whatever happens in between."""

import math

import hypothesis.strategies as st
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kubeswarm_api.spec_training import Attestation
from kubeswarm_workers.attest.decide import Attest, Wait, decide

FOUR_OR_A_MINUTE = Attestation(rounds=4, seconds=60)


def test_waits_for_company_until_its_time_is_up():
    assert decide(1, 0, 0, FOUR_OR_A_MINUTE, False, 1024) == Wait(math.inf)
    assert decide(1, 1, 10, FOUR_OR_A_MINUTE, False, 1024) == Wait(50)
    assert decide(1, 1, 60, FOUR_OR_A_MINUTE, False, 1024) == Attest(1, 1)
    assert decide(1, 4, 0, FOUR_OR_A_MINUTE, False, 1024) == Attest(1, 4)
    assert decide(5, 10, 0, FOUR_OR_A_MINUTE, False, 1024) == Attest(5, 10)


def test_nothing_is_waited_for_at_the_end():
    assert decide(3, 3, 0, FOUR_OR_A_MINUTE, True, 1024) == Attest(3, 3)
    assert decide(4, 3, 0, FOUR_OR_A_MINUTE, True, 1024) == Wait(math.inf)


def test_a_long_outage_is_caught_up_with_in_bounded_steps():
    assert decide(1, 5000, 9999, FOUR_OR_A_MINUTE, False, 1024) == Attest(1, 1024)


def test_a_chain_that_is_ahead_of_the_spool_gets_nothing():
    assert decide(10, 3, 0, FOUR_OR_A_MINUTE, True, 1024) == Wait(math.inf)


@given(
    st.integers(1, 10**6),
    st.integers(0, 10**6),
    st.floats(0, 1e9),
    st.builds(Attestation, rounds=st.integers(1, 1024), seconds=st.integers(1, 86400)),
    st.booleans(),
    st.integers(1, 1024),
)
def test_never_more_than_is_missing_and_never_an_endless_wait(next_round, last, age, wanted, flush, limit):
    choice = decide(next_round, last, age, wanted, flush, limit)
    if isinstance(choice, Attest):
        assert choice.first == next_round <= choice.last <= last
        assert choice.last - choice.first < limit
    elif next_round <= last:
        assert not flush and 0 < choice.seconds <= wanted.seconds
    else:
        assert choice == Wait(math.inf)


class Attesting(RuleBasedStateMachine):
    """A chain by the resolver's rule, a trainer, and attestors that act on views as old as you like.

    Whatever the order of sending, including, killing and reorganising, the rounds on the chain are 1..n, each once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spooled = 0
        self.blocks: list[tuple[int, int]] = []
        self.mempool: list[Attest] = []
        self.views: list[int] = [1]

    @property
    def next_round(self) -> int:
        return self.blocks[-1][1] + 1 if self.blocks else 1

    @rule(count=st.integers(1, 6))
    def train(self, count):
        self.spooled += count

    @rule()
    def look(self):
        self.views.append(self.next_round)

    @rule(data=st.data(), flush=st.booleans(), age=st.floats(0, 120))
    def send(self, data, flush, age):
        view = data.draw(st.sampled_from(self.views))
        choice = decide(view, self.spooled, age, FOUR_OR_A_MINUTE, flush, 8)
        if isinstance(choice, Attest):
            self.mempool.append(choice)

    @precondition(lambda self: self.mempool)
    @rule(data=st.data())
    def include_or_lose(self, data):
        sent = self.mempool.pop(data.draw(st.integers(0, len(self.mempool) - 1)))
        if data.draw(st.booleans()) and sent.first == self.next_round:
            self.blocks.append((sent.first, sent.last))

    @precondition(lambda self: self.blocks)
    @rule(depth=st.integers(1, 4))
    def reorganise(self, depth):
        del self.blocks[-depth:]

    @invariant()
    def each_round_counts_once(self):
        on_chain = [number for first, last in self.blocks for number in range(first, last + 1)]
        assert on_chain == list(range(1, len(on_chain) + 1))
        assert len(on_chain) <= self.spooled

    def teardown(self):
        """Left in peace, a fresh attestor brings the rest, and stops."""
        for _ in range(self.spooled + 1):
            choice = decide(self.next_round, self.spooled, 0, FOUR_OR_A_MINUTE, True, 8)
            if isinstance(choice, Wait):
                break
            self.blocks.append((choice.first, choice.last))
        self.each_round_counts_once()
        assert self.next_round == self.spooled + 1


TestAttesting = Attesting.TestCase
TestAttesting.settings = settings(max_examples=200, stateful_step_count=40)
