"""Which tasks are drawn more often: those that are right about as often as wrong, by what this Node measured itself.

A group teaches nothing where all of its answers are right, or all wrong. The variance of a right-or-wrong answer,
m (1 - m), says how far a task is from both (learnability: Foster et al., arXiv 2502.12272, section 3).
"""

from collections.abc import Mapping

from kubeswarm_workers.environments.contract import STRICT
from kubeswarm_workers.tally import Tally

#: What the latest round counts in a task's mean.
RATE = 0.3


def measured(before: Mapping[str, float], tasks: Mapping[str, Tally]) -> dict[str, float]:
    """Each task's mean in 0..1 after a round: of the component strict where there is one, else of the reward. Recent
    rounds count more; a task that was not drawn keeps its mean."""
    means = dict(before)
    for task, tally in tasks.items():
        values = tally.values()
        latest = values.get(STRICT, values.get("reward"))
        if latest is not None:
            latest = min(max(latest, 0.0), 1.0)
            means[task] = before[task] + RATE * (latest - before[task]) if task in before else latest
    return means


def emphasis(means: Mapping[str, float], floor: float) -> dict[str, float]:
    """The factor of each task's weight: 1 at a mean of one half, `floor` at 0 and 1. Tasks without a mean have 1."""
    return {task: floor + (1.0 - floor) * 4.0 * mean * (1.0 - mean) for task, mean in means.items()}
