"""The reward of a text answer: a weighted mean of format, similarity and exactness."""

import re
from collections.abc import Callable
from difflib import SequenceMatcher

from kubeswarm_api.spec_environment import RewardWeights
from kubeswarm_workers.environments.contract import Score

ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
#: Similarity is quadratic in the length of the texts.
MAX_COMPARED = 1000


def extract(completion: str, tags: bool) -> str | None:
    """The text inside the first pair of answer tags, or all of it where no tags are asked for; None if it is empty."""
    found = ANSWER.search(completion) if tags else None
    text = found.group(1) if found else "" if tags else completion
    return text.strip() or None


def similarity(answer: str, expected: str) -> float:
    """Ratcliff and Obershelp's ratio of the two texts, in 0..1, without regard to case."""
    return SequenceMatcher(None, answer[:MAX_COMPARED].lower(), expected[:MAX_COMPARED].lower(), autojunk=False).ratio()


def score(
    completion: str, expected: str, accepts: Callable[[str], bool], weights: RewardWeights, tags: bool = True
) -> Score:
    """Scores one completion; `accepts` is the task's own scorer of the extracted answer."""
    answer = extract(completion, tags)
    if answer is None:
        return Score(0.0, 0.0, 0.0, 0.0)
    exact = float(accepts(answer))
    alike = similarity(answer, expected)
    total = weights.format + weights.similarity + weights.exact
    reward = (weights.format + weights.similarity * alike + weights.exact * exact) / total
    return Score(reward, 1.0, alike, exact)
