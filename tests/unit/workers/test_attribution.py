"""What `kubeswarm lineage` says that a contribution weighs is what the learner's own loss weighs it by."""

import random
from collections import defaultdict
from pathlib import Path

import pytest

from kubeswarm_api.attribution import contributions
from kubeswarm_api.presets import PRESETS
from kubeswarm_api.records import NO_DIGEST, RoundRecord
from kubeswarm_api.rollouts import Completion, Group
from kubeswarm_api.spec_training import TrainingSpec
from kubeswarm_api.stored import StoredGroup, StoredRound
from kubeswarm_workers.learn.batch import Row, rows_of
from kubeswarm_workers.learn.model import Policy
from kubeswarm_workers.learn.step import Learner

TRAINING = {"model": {"image": "model:v1"}, "environment": {"reasoningGym": {"tasks": [{"name": "needle_haystack"}]}}}
NODES = [f"0x{digit * 40}" for digit in "123"]


class Watched(Learner):
    """A learner whose optimiser steps are noted instead of taken."""

    planned: list[Row]

    def gradient(self, plan, computed, old=None) -> float:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.planned += [row for part in plan for row in part]
        return super().gradient(plan, computed, old)


def group(source: random.Random, node: int, round: int, number: int) -> StoredGroup:
    """`number` is in the prompt, by which a row is known again."""
    completions: list[Completion] = []
    for _ in range(4):
        length = source.randint(3, 8)
        given = [1, 2] if source.random() < 0.3 else []  # a turn of the environment
        logprobs = [0.0 if given and at == 1 else -1.0 for at in range(length)]
        tokens = [source.randint(2, 30) for _ in range(length)]
        reward = source.choice([0.0, 0.2, 1.0])
        completions.append(Completion(tokens=tokens, logprobs=logprobs, reward=reward, truncated=False, given=given))
    made = Group(task="t", item=0, prompt_tokens=[number + 2, 1], completions=completions)
    return StoredGroup(group=made, prompt="", answers=[""] * 4, node_id=NODES[node], round=round)


@pytest.mark.parametrize(("number", "preset"), enumerate(PRESETS))
def test_weights_are_those_of_the_learners_loss(tiny_model: Path, number: int, preset: str) -> None:
    source, updates = random.Random(preset), 1 + number % 3
    own = [group(source, 0, 5, each) for each in range(4)]
    foreign = [group(source, 1 + each % 2, 3 + each % 3, 10 + each) for each in range(4)]
    training = TrainingSpec.model_validate(
        {
            **TRAINING,
            "algorithm": {"preset": preset, "updates": updates, "dropTruncated": bool(number % 2)},
            "rollout": {"maxTokens": 8},
        }
    )
    learner = Watched(Policy(tiny_model, None, seed=0), training.algorithm, training.rollout)
    learner.planned = []
    rows = [each.group for each in own], [each.group for each in foreign]
    learner.update([*rows_of(rows[0], "local"), *rows_of(rows[1], "external")], 5)
    of = {each.group.prompt_tokens[0]: (each.node_id, each.round) for each in (*own, *foreign)}
    weights: dict[tuple[str, int], float] = defaultdict(float)
    for row in learner.planned:
        weights[of[row.prompt[0]]] += sum(each.weight * len(each.learnt) * abs(each.advantage) for each in row.samples)
    total = sum(weights.values())
    assert total > 0
    record = RoundRecord(
        chain_id=1, registry=NODES[0], swarm_id=NO_DIGEST, node_id=NODES[0], round=5, previous=NO_DIGEST,
        config=NO_DIGEST, model_before=NO_DIGEST, model_after=NO_DIGEST, rollouts_root=NO_DIGEST,
        samples=0, reward=0, tokens=0,
    )  # fmt: skip
    stored = StoredRound(
        record=record, training=training, sampled_with=NO_DIGEST, threads=1, made_by={}, own=own, foreign=foreign
    )
    found = {(each.node_id, each.round): each.weight for each in contributions(stored)}
    assert found == {key: pytest.approx(weights[key] / total) for key in found}
    assert set(weights) <= set(found)
