"""Weights of contributions: shares of an update, in which what teaches nothing weighs nothing."""

import pytest

from kubeswarm_api.attribution import contributions
from kubeswarm_api.encoding import to_hex
from kubeswarm_api.records import NO_DIGEST, RoundRecord
from kubeswarm_api.rollouts import Completion, Group
from kubeswarm_api.spec_training import TrainingSpec
from kubeswarm_api.stored import StoredGroup, StoredRound

OWN, OTHER, THIRD = ("0x" + 40 * digit for digit in "123")
TRAINING = {"model": {"image": "model:v1"}, "environment": {"reasoningGym": {"tasks": [{"name": "needle_haystack"}]}}}


def group(node_id: str, round: int, rewards: list[float], lengths: list[int]) -> StoredGroup:
    completions = [
        Completion(tokens=[1] * length, logprobs=[-1.0] * length, reward=reward, truncated=False)
        for reward, length in zip(rewards, lengths, strict=True)
    ]
    made = Group(task="t", item=0, prompt_tokens=[1], completions=completions)
    return StoredGroup(group=made, prompt="", answers=[""] * len(rewards), node_id=node_id, round=round)


def stored(own: list[StoredGroup], foreign: list[StoredGroup], **algorithm: object) -> StoredRound:
    record = RoundRecord(
        chain_id=1,
        registry="0x" + 40 * "9",
        swarm_id=to_hex(b"s" * 32),
        node_id=OWN,
        round=3,
        previous=NO_DIGEST,
        config=NO_DIGEST,
        model_before=NO_DIGEST,
        model_after=NO_DIGEST,
        rollouts_root=NO_DIGEST,
        samples=0,
        reward=0,
        tokens=0,
    )
    training = TrainingSpec.model_validate({**TRAINING, "algorithm": algorithm})
    return StoredRound(
        record=record, training=training, sampled_with=NO_DIGEST, threads=1, made_by={}, own=own, foreign=foreign
    )


def test_weights_are_of_tokens_times_advantage() -> None:
    """By hand, with the token mean: advantages +-0.5 over 4 tokens, and +-0.25 over 8: 2 to 2."""
    own = [group(OWN, 3, [0.0, 1.0], [2, 2])]
    foreign = [group(OTHER, 2, [0.0, 0.5], [4, 4])]
    found = contributions(stored(own, foreign, preset="grpo"))
    assert [(each.node_id, each.round, each.tokens, each.completions) for each in found] == [
        (OWN, 3, 4, 2),
        (OTHER, 2, 8, 2),
    ]
    assert [each.weight for each in found] == pytest.approx([0.5, 0.5])


def test_a_sequence_mean_counts_answers_not_tokens() -> None:
    own, foreign = [group(OWN, 3, [0.0, 1.0], [2, 2])], [group(OTHER, 2, [0.0, 1.0], [20, 20])]
    found = contributions(stored(own, foreign, preset="grpo", aggregation="sequence"))
    assert [each.weight for each in found] == pytest.approx([0.5, 0.5])
    found = contributions(stored(own, foreign, preset="grpo"))
    assert [each.weight for each in found] == pytest.approx([1 / 11, 10 / 11])


def test_what_teaches_nothing_weighs_nothing() -> None:
    own = [group(OWN, 3, [1.0, 1.0], [2, 2])]
    foreign = [group(OTHER, 2, [0.0, 1.0], [2, 2]), group(THIRD, 1, [0.0, 0.1], [2, 2])]
    found = contributions(stored(own, foreign, preset="dr_grpo", minMeanReward=0.3))
    assert {each.node_id: each.weight for each in found} == {OWN: 0.0, OTHER: 1.0, THIRD: 0.0}
    nothing = contributions(stored(own, [], preset="grpo"))
    assert [each.weight for each in nothing] == [0.0]
    assert contributions(stored([], [])) == []


def test_weights_of_several_steps_sum_to_one() -> None:
    own = [group(OWN, 3, [0.0, 1.0], [2, 3]) for _ in range(3)]
    foreign = [group(OTHER, round, [0.0, 0.7], [5, 1]) for round in (1, 2, 2)]
    found = contributions(stored(own, foreign, preset="gspo", updates=2))
    assert [(each.node_id, each.round, each.groups) for each in found] == [(OWN, 3, 3), (OTHER, 1, 1), (OTHER, 2, 2)]
    assert sum(each.weight for each in found) == pytest.approx(1.0)
