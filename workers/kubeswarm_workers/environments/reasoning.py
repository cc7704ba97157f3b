"""Tasks of reasoning-gym as an environment.

Item numbers of a task: 0 to items - 1 are for training, the next `shots` are the solved examples, and the held-out
set is taken from those after. Procedural tasks repeat themselves, so that two numbers can give one question: a
training number whose question is held out or shown is skipped, and held-out questions are distinct.
"""

import functools
import random
from typing import Any

import reasoning_gym

from kubeswarm_api.spec_environment import ReasoningGym
from kubeswarm_workers.environments import reward
from kubeswarm_workers.environments.contract import EnvironmentFailed, Prompt, Score, Turn
from kubeswarm_workers.seeds import seed_of

INSTRUCTION = "Put the answer inside <answer> tags."
#: Numbers looked at for each held-out item that is wanted, before the task counts as too small.
SEARCH = 20


class ReasoningEnvironment:
    """Implements `contract.Environment`. `held_out_items` are spread over the tasks as evenly as can be."""

    def __init__(self, spec: ReasoningGym, seed: int, held_out_items: int) -> None:
        self._spec = spec
        self._seed = seed
        self._data = {
            task.name: reasoning_gym.create_dataset(
                task.name,
                **{
                    **task.args,
                    "seed": seed_of("reasoning-gym", seed, task.name) % 2**31,
                    "size": spec.items + spec.shots + SEARCH * (held_out_items + 1),
                },
            )
            for task in spec.tasks
        }
        self._entry = functools.lru_cache(maxsize=4096)(self._generate)
        self._shots = {name: range(spec.items, spec.items + spec.shots) for name in self._data}
        self._held_out = self._choose_held_out(held_out_items)
        self._excluded = {
            name: {self._question(name, item) for item in (*self._shots[name], *self._held_out[name])}
            for name in self._data
        }

    def _generate(self, task: str, item: int) -> dict[str, Any]:
        return self._data[task][item]

    def _question(self, task: str, item: int) -> str:
        return str(self._entry(task, item)["question"]).strip()

    def _choose_held_out(self, wanted: int) -> dict[str, list[int]]:
        chosen: dict[str, list[int]] = {}
        for position, task in enumerate(self._data):
            share = wanted // len(self._data) + (position < wanted % len(self._data))
            first = self._spec.items + self._spec.shots
            seen = {self._question(task, item) for item in self._shots[task]}
            chosen[task] = []
            for item in range(first, first + SEARCH * (share + 1)):
                if len(chosen[task]) == share:
                    break
                if (question := self._question(task, item)) not in seen:
                    seen.add(question)
                    chosen[task].append(item)
            if len(chosen[task]) < share:
                raise EnvironmentFailed(
                    f"task {task} gives only {len(chosen[task])} distinct held-out items of {share}: "
                    "lower evaluation.items, or widen the task's args"
                )
        return chosen

    def _prompt(self, task: str, item: int) -> Prompt:
        tags = self._spec.answer_tags
        turns = [Turn("system", INSTRUCTION)] if tags else []
        for shot in self._shots[task]:
            answer = str(self._entry(task, shot)["answer"]).strip()
            turns += [
                Turn("user", self._question(task, shot)),
                Turn("assistant", f"<answer>{answer}</answer>" if tags else answer),
            ]
        return Prompt(task, item, (*turns, Turn("user", self._question(task, item))))

    def _trainable(self, task: str, item: int) -> bool:
        return self._question(task, item) not in self._excluded[task]

    def draw(self, node: int, round: int, count: int) -> list[Prompt]:
        """`count` prompts, tasks by weight; no number twice in a round unless the task has too few."""
        chance = random.Random(seed_of("draw", self._seed, node, round))  # noqa: S311
        names = list(self._data)
        weights = [task.weight for task in self._spec.tasks]
        drawn: list[tuple[str, int]] = []
        refused = 0
        while len(drawn) < count:
            task = chance.choices(names, weights)[0]
            item = chance.randrange(self._spec.items)
            if ((task, item) in drawn and refused < 100 * count) or not self._trainable(task, item):
                refused += 1
                if refused > 1000 * count:
                    raise EnvironmentFailed("nearly every training item is held out: raise environment items")
                continue
            drawn.append((task, item))
        return [self._prompt(task, item) for task, item in drawn]

    def held_out(self) -> list[Prompt]:
        """The held-out set, by task, then by item."""
        return [self._prompt(task, item) for task, items in self._held_out.items() for item in items]

    def prompt(self, task: str, item: int) -> Prompt:
        """A training prompt. Raises EnvironmentFailed for an unknown task, a number out of range, a held-out item."""
        if task not in self._data:
            raise EnvironmentFailed(f"unknown task {task[:64]!r}")
        if not 0 <= item < self._spec.items or not self._trainable(task, item):
            raise EnvironmentFailed(f"item {item} of {task} is not one to train on")
        return self._prompt(task, item)

    def score(self, task: str, item: int, answers: list[str]) -> list[Score]:
        """Format, similarity to the reference answer, and the dataset's own scorer (1 or more is exact)."""
        entry = self._entry(task, item)
        dataset = self._data[task]
        return [
            reward.score(
                answer,
                str(entry["answer"]).strip(),
                lambda text: float(dataset.score_answer(text, entry)) >= 1.0,
                self._spec.reward,
                self._spec.answer_tags,
            )
            for answer in answers
        ]
