"""Whose rollouts an update learnt from, and how much each weighed in it: recomputed from what the update consumed."""

from collections.abc import Sequence

from pydantic import Field

from kubeswarm_api.advantages import advantages
from kubeswarm_api.aggregation import token_weights
from kubeswarm_api.base import Model
from kubeswarm_api.filters import keep
from kubeswarm_api.records import Address
from kubeswarm_api.rollouts import Completion
from kubeswarm_api.spec_algorithm import Algorithm
from kubeswarm_api.spec_training import TrainingSpec
from kubeswarm_api.stored import StoredGroup, StoredRound


class Contribution(Model):
    """What one round of one Node gave to an update."""

    node_id: Address
    round: int = Field(description="In which its Node sampled it.")
    groups: int
    completions: int
    tokens: int = Field(description="Sampled ones: an environment's turns are not learnt.")
    weight: float = Field(
        description="Share of the update: sum over its tokens of loss weight x |advantage|, by that of all tokens. "
        "Groups that a filter left out, or whose completions all got the same reward, weigh nothing."
    )


def contributions(stored: StoredRound) -> list[Contribution]:
    """By Node and round, the own ones first. Weights sum to 1, or are all 0 where nothing had an advantage."""
    groups = [*stored.own, *stored.foreign]
    weights = _weights(stored.own, stored.foreign, stored.training)
    total = sum(weights)
    made: dict[tuple[Address, int], Contribution] = {}
    for each, weight in zip(groups, weights, strict=True):
        before = made.get((each.node_id, each.round))
        completions = each.group.completions
        made[each.node_id, each.round] = Contribution(
            node_id=each.node_id,
            round=each.round,
            groups=1 + (before.groups if before else 0),
            completions=len(completions) + (before.completions if before else 0),
            tokens=sum(sum(one.sampled) for one in completions) + (before.tokens if before else 0),
            weight=(weight / total if total else 0.0) + (before.weight if before else 0.0),
        )
    return list(made.values())


def _weights(own: Sequence[StoredGroup], foreign: Sequence[StoredGroup], training: TrainingSpec) -> list[float]:
    """Of each group. As Learner.update: filtered by origin, valued together, weighed by optimiser step."""
    algorithm, groups = training.algorithm, [each.group.completions for each in (*own, *foreign)]
    rewards = [[one.reward for one in group] for group in groups]
    kept, _ = keep(rewards[: len(own)], algorithm)
    others, _ = keep(rewards[len(own) :], algorithm)
    kept += [len(own) + index for index in others]
    weights = [0.0] * len(groups)
    if not kept:
        return weights
    choices = algorithm.choices()
    values = advantages([rewards[index] for index in kept], choices)
    # Of each group that is left: its index, and (tokens, advantage) of each completion that is left.
    rows: list[tuple[int, list[tuple[int, float]]]] = []
    for index, group in zip(kept, values, strict=True):
        pairs = zip(groups[index], group, strict=True)
        samples = [(sum(one.sampled), value) for one, value in pairs if _left(one, algorithm)]
        if samples:
            rows.append((index, samples))
    for step in (rows[start :: algorithm.updates] for start in range(algorithm.updates)):
        lengths = [[length for length, _ in samples] for _, samples in step]
        scales = token_weights(lengths, choices.aggregation, training.rollout.max_episode_tokens) if step else []
        for (index, samples), scale in zip(step, scales, strict=True):
            parts = zip(scale, samples, strict=True)
            weights[index] = sum(weight * length * abs(advantage) for weight, (length, advantage) in parts)
    return weights


def _left(completion: Completion, algorithm: Algorithm) -> bool:
    return not (algorithm.drop_truncated and completion.truncated)
