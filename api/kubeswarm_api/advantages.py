"""What each completion is worth, compared with others: a baseline, and a scale. Rewards come group by group."""

import math
from collections.abc import Sequence

from kubeswarm_api.presets import Baseline, Choices, Scale

#: Added to a standard deviation that divides.
EPSILON = 1e-4


def advantages(groups: Sequence[Sequence[float]], choices: Choices) -> list[list[float]]:
    """(reward - baseline) / scale, in the shape of `groups`."""
    rewards = [reward for group in groups for reward in group]
    spread = deviation(rewards)
    return [
        [
            (reward - base) / divisor(group, spread, choices.scale)
            for reward, base in zip(group, baselines(group, rewards, choices.baseline), strict=True)
        ]
        for group in groups
    ]


def baselines(group: Sequence[float], batch: Sequence[float], kind: Baseline) -> list[float]:
    """What each reward of `group` is compared with.

    group: the group's mean (GRPO: Shao et al., arXiv 2402.03300). It holds the reward itself, which scales the expected
    gradient by (G - 1) / G.
    leaveOneOut: the mean of the group's others (RLOO: Ahmadian et al., arXiv 2402.14740); 0 for a group of one.
    batch: the mean of the batch (REINFORCE with a baseline: Williams, Machine Learning 8, 1992).
    none: 0.
    """
    if kind == "group":
        return [sum(group) / len(group)] * len(group)
    if kind == "leaveOneOut":
        return [(sum(group) - reward) / max(len(group) - 1, 1) for reward in group]
    return [sum(batch) / len(batch) if kind == "batch" else 0.0] * len(group)


def divisor(group: Sequence[float], batch_deviation: float, kind: Scale) -> float:
    """What the differences are divided by.

    none: 1 (Dr. GRPO: Liu et al., arXiv 2503.20783: a division weighs prompts by how hard they are).
    group: the standard deviation of the group (GRPO, arXiv 2402.03300).
    batch: that of the whole batch (Khatri et al., arXiv 2510.13786).
    """
    if kind == "none":
        return 1.0
    return (deviation(group) if kind == "group" else batch_deviation) + EPSILON


def deviation(values: Sequence[float]) -> float:
    """The sample standard deviation (n - 1); 0 for fewer than two values."""
    if len(values) < 2:
        return 0.0
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
