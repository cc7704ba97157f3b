"""What each completion is worth, compared with the others of its prompt."""

from collections.abc import Sequence


def group_advantages(rewards: Sequence[float]) -> list[float]:
    """reward - mean of its group, without division by the standard deviation.

    GRPO's baseline (Shao et al., arXiv 2402.03300, eq. 3) in the form of Dr. GRPO (Liu et al., arXiv 2503.20783),
    which drops the division because it weighs prompts by how hard they are.
    """
    if not rewards:
        return []
    mean = sum(rewards) / len(rewards)
    return [reward - mean for reward in rewards]
