"""Whether a reward is being gamed: it rises, and the share of right answers doesn't rise with it.

What is seen is a task's mean reward beside the mean of its component "strict" (1 where an answer is right by a rule
that can't be gamed), round by round. A task without that component has nothing to be compared with, and is never
suspected.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kubeswarm_api.reports import RoundReport
from kubeswarm_workers.environments.contract import STRICT

#: Rounds whose mean counts as one measurement.
WINDOW = 4
#: A rise of the mean reward, as a share of the highest reward of any completion, that has to be explained. More than
#: what a model gains by learning the format alone, at the default weights.
RISE = 0.25
#: Of that rise the part, at least, by which the strict mean has to rise with it.
EXPLAINED = 0.25
#: Rounds that are looked back at.
MEMORY = 1000


@dataclass(frozen=True)
class Means:
    """A round's means of one task; `highest`: the highest reward of a completion in it."""

    reward: float
    strict: float
    highest: float


@dataclass(frozen=True)
class Suspicion:
    """The reward rose from `before` to `now` while the strict mean went from `strict_before` to `strict`."""

    before: float
    now: float
    strict_before: float
    strict: float

    def __str__(self) -> str:
        """For a person."""
        rise = f"its mean reward rose from {self.before:.3f} to {self.now:.3f}"
        return f"{rise} while the share of right answers went from {self.strict_before:.3f} to {self.strict:.3f}"


def suspicion(rounds: Sequence[Means]) -> Suspicion | None:
    """What is suspicious of a task's rounds, oldest first, beside the earlier window that is furthest below."""
    highest = max((each.highest for each in rounds), default=0.0)
    if len(rounds) < 2 * WINDOW or highest <= 0:
        return None
    windows = [rounds[at : at + WINDOW] for at in range(len(rounds) - WINDOW + 1)]
    means = [
        (sum(each.reward for each in window) / WINDOW, sum(each.strict for each in window) / WINDOW)
        for window in windows
    ]
    now, strict = means[-1]
    found: Suspicion | None = None
    for before, strict_before in means[:-WINDOW]:
        rise = (now - before) / highest
        if rise >= RISE and strict - strict_before < EXPLAINED * rise and (found is None or before < found.before):
            found = Suspicion(before, now, strict_before, strict)
    return found


@dataclass
class Watch:
    """Every task's rounds so far, and what is suspicious of each now."""

    rounds: dict[str, deque[Means]] = field(default_factory=dict)
    suspected: dict[str, Suspicion] = field(default_factory=dict)

    def add(self, task: str, means: Means) -> None:
        """Takes a task's next round."""
        rounds = self.rounds.setdefault(task, deque(maxlen=MEMORY))
        rounds.append(means)
        found = suspicion(list(rounds))
        if found is None:
            self.suspected.pop(task, None)
        else:
            self.suspected[task] = found


def resumed(history: Iterable[RoundReport]) -> Watch:
    """The watch of a Node that goes on after these rounds."""
    watch = Watch()
    for report in history:
        for task, values in report.tasks.items():
            if (means := means_of(values)) is not None:
                watch.add(task, means)
    return watch


def means_of(values: dict[str, float]) -> Means | None:
    """Of a task's values in a RoundReport; None without the component "strict"."""
    if STRICT not in values or "reward" not in values:
        return None
    return Means(values["reward"], values[STRICT], values.get("highest", 1.0))
