"""Rewards of text answers: a weighted mean of format, similarity and correctness, or a task's own scorer alone."""

import re
from collections.abc import Callable, Mapping
from difflib import SequenceMatcher

from kubeswarm_workers.environments.contract import FORMAT, STRICT, Score

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


def weighted(
    completion: str, expected: str, own: Callable[[str], float], weights: Mapping[str, float], tags: bool = True
) -> Score:
    """`own` is the task's scorer of the extracted answer: 1 or more is right. `weights`: format, similarity, exact."""
    answer = extract(completion, tags)
    if answer is None:
        return Score(0.0, {FORMAT: 0.0, "similarity": 0.0, STRICT: 0.0})
    strict = float(own(answer) >= 1.0)
    alike = similarity(answer, expected)
    total = weights["format"] + weights["similarity"] + weights["exact"]
    reward = (weights["format"] + weights["similarity"] * alike + weights["exact"] * strict) / total
    return Score(reward, {FORMAT: 1.0, "similarity": alike, STRICT: strict})


def partial(completion: str, own: Callable[[str], float], tags: bool = True) -> Score:
    """What the task's scorer gives the answer, or the whole text where there is none; STRICT tells the truth beside."""
    answer = extract(completion, tags)
    reward = own(completion if answer is None else answer)
    return Score(reward, {FORMAT: float(answer is not None), STRICT: float(answer is not None and reward >= 1.0)})
