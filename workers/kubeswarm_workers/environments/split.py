"""From a source of items to an environment: which are drawn, and which are held out and never trained on.

Items may repeat one another under different numbers. A training number whose question is held out or shown is skipped,
and held-out questions are distinct.
"""

import hashlib
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

from kubeswarm_workers.environments.contract import (
    Answers,
    EnvironmentFailed,
    Prompt,
    Scored,
    Stepped,
    Transcript,
    Turn,
    Unscored,
)
from kubeswarm_workers.seeds import seed_of


@dataclass(frozen=True)
class Task:
    """Items 0 to `items` - 1 are for training. `spare` gives numbers to choose held-out items from, in order."""

    items: int
    spare: Iterable[int]
    weight: float = 1.0
    shown: frozenset[str] = field(default_factory=frozenset)  # questions of the examples in the prompts


class Source(Protocol):
    """What a kind of environment has to give."""

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks by name, in a fixed order."""
        ...

    def turns(self, task: str, item: int) -> tuple[Turn, ...]:
        """The conversation that asks for the item's answer; its last turn is the question."""
        ...

    def score(self, task: str, item: int, transcripts: Sequence[Transcript]) -> Sequence[Scored]:
        """Scores of some completions of one item. May raise anything: then each is tried by itself."""
        ...


@runtime_checkable
class Stepping(Protocol):
    """What a source has to give beside, if an episode of it can have more than one answer."""

    def step(self, task: str, item: int, transcript: Transcript) -> Sequence[Turn]:
        """What the transcript's last answer is answered with; nothing where the episode is over. May raise anything."""
        ...


Result = TypeVar("Result")


class Split:
    """Implements `contract.Environment` over a source; `held_out_items` are spread over its tasks evenly."""

    def __init__(self, source: Source, seed: int, held_out_items: int) -> None:
        self.source = source
        self._seed = seed
        self._held_out = self._choose(held_out_items)
        self._excluded = {
            name: {self._question(name, item) for item in self._held_out[name]}
            | {_digest(question) for question in task.shown}
            for name, task in source.tasks.items()
        }

    def _question(self, task: str, item: int) -> bytes:
        return _digest(self.source.turns(task, item)[-1].content)

    def _choose(self, wanted: int) -> dict[str, list[int]]:
        chosen: dict[str, list[int]] = {}
        for position, (name, task) in enumerate(self.source.tasks.items()):
            share = wanted // len(self.source.tasks) + (position < wanted % len(self.source.tasks))
            seen = {_digest(question) for question in task.shown}
            chosen[name] = []
            for item in task.spare if share else ():
                if (question := self._question(name, item)) not in seen:
                    seen.add(question)
                    chosen[name].append(item)
                if len(chosen[name]) == share:
                    break
            if len(chosen[name]) < share:
                raise EnvironmentFailed(
                    f"task {name} gives only {len(chosen[name])} distinct held-out items of {share}: "
                    "lower evaluation.items, or give the task more items"
                )
        return chosen

    def _prompt(self, task: str, item: int) -> Prompt:
        return Prompt(task, item, self.source.turns(task, item))

    def _trainable(self, task: str, item: int) -> bool:
        return self._question(task, item) not in self._excluded[task]

    def draw(self, node: int, round: int, count: int, emphasis: Mapping[str, float] = {}) -> list[Prompt]:
        """`count` prompts, tasks by weight; no number twice in a round unless the task has too few."""
        chance = random.Random(seed_of("draw", self._seed, node, round))  # noqa: S311
        tasks = self.source.tasks
        names = list(tasks)
        weights = [task.weight * emphasis.get(name, 1.0) for name, task in tasks.items()]
        drawn: list[tuple[str, int]] = []
        refused = 0
        while len(drawn) < count:
            task = chance.choices(names, weights)[0]
            item = chance.randrange(tasks[task].items)
            if ((task, item) in drawn and refused < 100 * count) or not self._trainable(task, item):
                refused += 1
                if refused > 1000 * count:
                    raise EnvironmentFailed(
                        "nearly every training item is held out: give the environment more items, "
                        "or lower evaluation.items"
                    )
                continue
            drawn.append((task, item))
        return [self._prompt(task, item) for task, item in drawn]

    def held_out(self) -> list[Prompt]:
        """The held-out set, by task, then by item."""
        return [self._prompt(task, item) for task, items in self._held_out.items() for item in items]

    def prompt(self, task: str, item: int) -> Prompt:
        """A training prompt. Raises EnvironmentFailed for an unknown task, a number out of range, a held-out item."""
        if task not in self.source.tasks:
            raise EnvironmentFailed(f"unknown task {task[:64]!r}")
        if not 0 <= item < self.source.tasks[task].items or not self._trainable(task, item):
            raise EnvironmentFailed(f"item {item} of {task} is not one to train on")
        return self._prompt(task, item)

    def score(self, answers: Sequence[Answers]) -> list[list[Scored]]:
        """Group by group; where a group raises, completion by completion."""
        return [attempt(self.source.score, each) for each in answers]

    def step(self, answers: Sequence[Answers]) -> list[list[Stepped]]:
        """Completion by completion; a source without steps is over after one answer."""
        return [attempt(self._step, each) for each in answers]

    def _step(self, task: str, item: int, transcripts: Sequence[Transcript]) -> list[tuple[Turn, ...]]:
        if not isinstance(self.source, Stepping):
            return [()] * len(transcripts)
        return [tuple(self.source.step(task, item, each)) for each in transcripts]


def attempt(
    call: Callable[[str, int, Sequence[Transcript]], Sequence[Result]], group: Answers
) -> list[Result | Unscored]:
    """What `call` gives for one item's completions; what raises for all of them is asked for each alone."""
    try:
        results: list[Result | Unscored] = list(call(group.task, group.item, group.transcripts))
        if len(results) != len(group.transcripts):
            raise ValueError(f"{len(results)} rewards for {len(group.transcripts)} completions: return one for each")
        return results
    except MemoryError as error:
        cause = Unscored("memory", str(error) or "out of memory")
    except (Exception, RecursionError, SystemExit) as error:
        cause = Unscored("error", f"{type(error).__name__}: {error}"[:500])
    if len(group.transcripts) == 1:
        return [cause]
    return [attempt(call, Answers(group.task, group.item, (each,)))[0] for each in group.transcripts]


def _digest(question: str) -> bytes:
    return hashlib.sha256(question.strip().encode()).digest()
