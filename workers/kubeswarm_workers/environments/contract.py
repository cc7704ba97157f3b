"""What an environment offers: the one contract between the trainer and whatever gives prompts and rewards.

These modules run in interpreters that hold nothing of the worker's, so they import the standard library alone.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

#: Named parts of a reward, at most. Names become metric labels.
MAX_COMPONENTS = 16
COMPONENT = re.compile(r"[a-z][a-z0-9_]{0,31}")
#: A reward's bounds are those of a completion on the wire.
MAX_REWARD = 1000.0
#: Component names with a meaning: 1 where the answer is right by a rule that can't be gamed, 1 where it is well formed.
STRICT, FORMAT = "strict", "format"


class EnvironmentFailed(Exception):
    """The environment failed, took too long or does not know the item: no reward follows, least of all 0."""


@dataclass(frozen=True)
class Turn:
    """One message of a conversation; `role` is system, user or assistant."""

    role: str
    content: str


#: What comes after a prompt: an assistant's turn, and in an environment that goes on its turn and the next answer, ...
Transcript = tuple[Turn, ...]


@dataclass(frozen=True)
class Prompt:
    """An item of a task, and the conversation that asks for its answer. (task, item) determines the turns."""

    task: str
    item: int
    turns: tuple[Turn, ...]


@dataclass(frozen=True)
class Score:
    """The reward of one completion, and named parts of it or beside it (see STRICT and FORMAT).

    Raises ValueError for numbers that are not finite or out of bounds, and for too many or ill-formed names.
    """

    reward: float
    components: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.reward) and abs(self.reward) <= MAX_REWARD):
            raise ValueError(f"a reward must lie within ±{MAX_REWARD:g}, not {self.reward}")
        if len(self.components) > MAX_COMPONENTS:
            raise ValueError(f"{len(self.components)} components of a reward: name {MAX_COMPONENTS} at most")
        for name, value in self.components.items():
            if not COMPONENT.fullmatch(name):
                raise ValueError(f"component {name[:40]!r}: use a-z, 0-9 and _, 32 characters at most")
            if not math.isfinite(value):
                raise ValueError(f"component {name} is {value}")

    @property
    def strict(self) -> float | None:
        """The component STRICT; None where the environment has none."""
        return self.components.get(STRICT)


#: Why a completion could not be scored; each is counted.
FAILURES = ("error", "deadline", "crash", "memory", "protocol", "given_up")


@dataclass(frozen=True)
class Unscored:
    """A completion that could not be scored: it is left out, and never counts as a reward of 0."""

    reason: str
    cause: str


Scored = Score | Unscored


@dataclass(frozen=True)
class Answers:
    """Completions of one item; each transcript ends with the assistant's turn."""

    task: str
    item: int
    transcripts: tuple[Transcript, ...]


def answers(task: str, item: int, texts: Sequence[str]) -> Answers:
    """Completions of one turn each."""
    return Answers(task, item, tuple((Turn("assistant", text),) for text in texts))


#: What the environment says next: turns of the user's, none where the episode is over.
Stepped = tuple[Turn, ...] | Unscored


class Environment(Protocol):
    """Pure in its arguments: the same call gives the same answer in any process, on any Node."""

    def draw(self, node: int, round: int, count: int, emphasis: Mapping[str, float] = {}) -> list[Prompt]:
        """The training prompts of one round of one Node; never a held-out one. `emphasis`: a factor of a task's
        weight, 1 where it has none."""
        ...

    def held_out(self) -> list[Prompt]:
        """The fixed held-out set: distinct from one another, from the training prompts and from the examples shown."""
        ...

    def prompt(self, task: str, item: int) -> Prompt:
        """A training prompt by name. Raises EnvironmentFailed if there is none, or it is held out."""
        ...

    def step(self, answers: Sequence[Answers]) -> list[list[Stepped]]:
        """What each unfinished completion is answered with. It follows from the transcript alone: the environment
        keeps no episode, so that one can be gone on with in another process and checked on another Node."""
        ...

    def score(self, answers: Sequence[Answers]) -> list[list[Scored]]:
        """The scores of a round's completions, each by itself: one that fails takes no other with it."""
        ...
