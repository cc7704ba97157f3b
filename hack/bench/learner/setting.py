"""What all contestants have in common, and what each of them gives back."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kubeswarm_api.spec_algorithm import Algorithm
from kubeswarm_api.spec_environment import Environment
from kubeswarm_api.spec_model import Lora
from kubeswarm_api.spec_training import Rollout
from kubeswarm_workers.environments.contract import Answers, Prompt, Score
from kubeswarm_workers.environments.launch import launch
from kubeswarm_workers.environments.process import EnvironmentProcess
from kubeswarm_workers.place import Place

TASK = {"name": "needle_haystack", "args": {"min_num_statements": 3, "max_num_statements": 3}}
ENVIRONMENT = Environment.model_validate({"reasoningGym": {"tasks": [TASK]}})
LORA = Lora(rank=16)
RATE = 4e-4
THREADS = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Setting:
    """One run: the model's directory, the seed, rounds of `prompts` x `group_size` completions of `max_tokens`."""

    model: Path
    seed: int
    rounds: int
    prompts: int
    group_size: int
    max_tokens: int

    @property
    def algorithm(self) -> Algorithm:
        """The default algorithm, of these sizes."""
        return Algorithm(learning_rate=RATE, prompts=self.prompts, group_size=self.group_size)

    @property
    def rollout(self) -> Rollout:
        """How completions are sampled."""
        return Rollout(max_tokens=self.max_tokens)

    def drawn(self, environment: EnvironmentProcess, round: int) -> list[Prompt]:
        """The prompts of a round, which begin with 1."""
        return environment.draw(0, round, self.prompts)

    def environment(self) -> EnvironmentProcess:
        """The task in its own process, as a Node has it."""
        return EnvironmentProcess(launch(ENVIRONMENT, self.seed, 0, Place()))


@dataclass
class Measured:
    """`reward`: mean by round. `seconds`: wall clock by round. `phases`: seconds by phase, all rounds but the first.

    `tokens` were sampled, `padding` is the share of the forward pass's tokens that are padding, where it is known.
    """

    reward: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    phases: dict[str, float] = field(default_factory=dict)
    tokens: int = 0
    padding: float | None = None

    def show(self) -> None:
        """Prints itself as one line of JSON."""
        print(json.dumps(asdict(self)), flush=True)


def rewards(environment: EnvironmentProcess, answers: Sequence[Answers]) -> list[list[float]]:
    """The rewards of each item's answers. Raises ValueError where one could not be scored: a benchmark loses none."""
    scored = environment.score(answers)
    if lost := [each for group in scored for each in group if not isinstance(each, Score)]:
        raise ValueError(f"{len(lost)} completions not scored: {lost[0]}")
    return [[each.reward for each in group if isinstance(each, Score)] for group in scored]


def end_round(round: int) -> None:
    """Says that a round has ended, and waits: the next one is another contestant's."""
    print(json.dumps({"round": round}), flush=True)
    sys.stdin.readline()
