"""Rollout batches on the wire: exact for friends, bounded for strangers."""

import msgpack  # pyright: ignore[reportMissingTypeStubs]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_api import rollouts
from kubeswarm_api.errors import InvalidBatch
from kubeswarm_api.rollouts import Completion, Group, RolloutBatch, SignedBatch

float32 = st.floats(-1000, 1000, width=32)
completions = st.builds(
    lambda pairs, reward, truncated: Completion(
        tokens=[token for token, _ in pairs], logprobs=[lp for _, lp in pairs], reward=reward, truncated=truncated
    ),
    st.lists(st.tuples(st.integers(0, 2**31 - 1), st.floats(-50, 0, width=32)), min_size=1, max_size=6),
    float32,
    st.booleans(),
)
groups = st.builds(
    lambda task, item, prompt, answers: Group(task=task, item=item, prompt_tokens=prompt, completions=answers),
    st.text(max_size=10),
    st.integers(0, 2**31 - 1),
    st.lists(st.integers(0, 100), min_size=1, max_size=5),
    st.lists(completions, min_size=1, max_size=3),
)
batches = st.builds(
    lambda round_number, sampled: RolloutBatch(
        swarm_id="0x" + "22" * 32,
        node_id="0x" + "33" * 20,
        round=round_number,
        model="0x" + "44" * 32,
        groups=sampled,
    ),
    st.integers(1, 10**6),
    st.lists(groups, max_size=3),
)


@given(batches)
def test_a_batch_arrives_as_it_was_sent(batch: RolloutBatch) -> None:
    sent = SignedBatch(batch=batch, signature=bytes(65))
    received = SignedBatch.decode(sent.encode())
    assert received == sent
    assert received.batch.root() == batch.root()


@given(st.binary(max_size=300))
def test_garbage_is_refused_by_its_own_error(data: bytes) -> None:
    with pytest.raises(InvalidBatch) as refusal:
        SignedBatch.decode(data)
    assert refusal.value.reason == "schema"


def test_what_is_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(InvalidBatch) as refusal:
        SignedBatch.decode(bytes(rollouts.MAX_BATCH_BYTES + 1))
    assert refusal.value.reason == "size"


@pytest.mark.parametrize(
    "hostile",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\x91" * 100_000,
        msgpack.packb({"batch": {"groups": [[]] * 5000}}),
        msgpack.packb(msgpack.ExtType(1, b"x")),
        msgpack.packb({1: 2}),
    ],
)
def test_a_bomb_costs_nothing(hostile: bytes) -> None:
    with pytest.raises(InvalidBatch):
        SignedBatch.decode(hostile)


def test_tokens_and_their_logprobs_must_match_in_number() -> None:
    with pytest.raises(ValueError, match="2 tokens but 1 logprobs"):
        Completion(tokens=[1, 2], logprobs=[-1.0], reward=0, truncated=False)


def test_values_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(ValueError):
        Completion(tokens=[1], logprobs=[float("nan")], reward=0, truncated=False)
    with pytest.raises(ValueError):
        Completion(tokens=[-1], logprobs=[-1.0], reward=0, truncated=False)
    with pytest.raises(ValueError):
        Completion(tokens=[1], logprobs=[0.5], reward=0, truncated=False)


@given(batches.filter(lambda batch: batch.groups))
def test_any_change_of_a_completion_changes_the_root(batch: RolloutBatch) -> None:
    first = batch.groups[0]
    completion = first.completions[0]
    changed = completion.model_copy(update={"truncated": not completion.truncated})
    group = first.model_copy(update={"completions": [changed, *first.completions[1:]]})
    assert batch.model_copy(update={"groups": [group, *batch.groups[1:]]}).root() != batch.root()


def in_flight(switched_at: int | None, switched_to: str | None) -> RolloutBatch:
    completion = Completion(tokens=[1, 2, 3], logprobs=[-1.0] * 3, reward=0, truncated=False, switched_at=switched_at)
    return RolloutBatch(
        swarm_id="0x" + "22" * 32,
        node_id="0x" + "33" * 20,
        round=1,
        model="0x" + "44" * 32,
        switched_to=switched_to,
        groups=[Group(task="t", item=0, prompt_tokens=[1], completions=[completion])],
    )


def test_where_another_policy_went_on_is_part_of_what_is_signed() -> None:
    other, third = "0x" + "55" * 32, "0x" + "66" * 32
    batches = [in_flight(None, None), in_flight(1, other), in_flight(2, other), in_flight(2, third)]
    assert len({batch.root() for batch in batches}) == 4
    for batch in batches:
        sent = SignedBatch(batch=batch, signature=bytes(65))
        assert SignedBatch.decode(sent.encode()) == sent
    with pytest.raises(ValueError, match="switchedTo is not there"):
        in_flight(1, None)
    with pytest.raises(ValueError, match="is not one of 3 tokens"):
        in_flight(3, other)


def test_a_batch_of_one_policy_is_what_it_was_before_there_were_others() -> None:
    batch = in_flight(None, None)
    assert b"switched" not in SignedBatch(batch=batch, signature=bytes(65)).encode()
    assert batch.root().hex() == "cb3accaa998992fa41da47b00572cb10ebdb1fd8183615425b5262b9d4156fea"
