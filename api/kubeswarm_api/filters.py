"""Which groups an update learns from."""

from collections import Counter
from collections.abc import Sequence

from kubeswarm_api.spec_algorithm import Algorithm


def refuse(rewards: Sequence[float], algorithm: Algorithm) -> str | None:
    """Why a group with these rewards is left out, or None.

    zero_variance: all equal (dynamic sampling of DAPO: Yu et al., arXiv 2503.14476, without sampling again).
    difficulty: the mean is outside [minMeanReward, maxMeanReward].
    """
    mean = sum(rewards) / len(rewards)
    if algorithm.min_mean_reward is not None and mean < algorithm.min_mean_reward:
        return "difficulty"
    if algorithm.max_mean_reward is not None and mean > algorithm.max_mean_reward:
        return "difficulty"
    if algorithm.choices().drop_zero_variance and min(rewards) == max(rewards):
        return "zero_variance"
    return None


def keep(groups: Sequence[Sequence[float]], algorithm: Algorithm) -> tuple[list[int], Counter[str]]:
    """The indices of the groups to learn from, and how many completions are left out by reason."""
    reasons = [refuse(rewards, algorithm) for rewards in groups]
    dropped: Counter[str] = Counter()
    for rewards, reason in zip(groups, reasons, strict=True):
        if reason is not None:
            dropped[reason] += len(rewards)
    return [index for index, reason in enumerate(reasons) if reason is None], dropped
