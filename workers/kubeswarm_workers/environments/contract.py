"""What an environment offers: the one contract between the trainer and whatever gives prompts and rewards."""

from dataclasses import dataclass
from typing import Protocol


class EnvironmentFailed(Exception):
    """The environment failed, took too long or does not know the item: no reward follows, least of all 0."""


@dataclass(frozen=True)
class Turn:
    """One message of a conversation; `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class Prompt:
    """An item of a task, and the conversation that asks for its answer. (task, item) determines the turns."""

    task: str
    item: int
    turns: tuple[Turn, ...]


@dataclass(frozen=True)
class Score:
    """The reward of one completion in 0..1, and the parts that it is made of."""

    reward: float
    format: float
    similarity: float
    exact: float


class Environment(Protocol):
    """Pure in its arguments: the same call gives the same answer in any process, on any Node."""

    def draw(self, node: int, round: int, count: int) -> list[Prompt]:
        """The training prompts of one round of one Node; never a held-out one."""
        ...

    def held_out(self) -> list[Prompt]:
        """The fixed held-out set: distinct from one another, from the training prompts and from the examples shown."""
        ...

    def prompt(self, task: str, item: int) -> Prompt:
        """A training prompt by name. Raises EnvironmentFailed if there is none, or it is held out."""
        ...

    def score(self, task: str, item: int, answers: list[str]) -> list[Score]:
        """The scores of several completions of one item. Raises EnvironmentFailed."""
        ...
