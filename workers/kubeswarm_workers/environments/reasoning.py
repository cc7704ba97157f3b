"""Tasks of reasoning-gym.

Item numbers of a task: 0 to items - 1 are for training, the next `shots` are the solved examples, and the held-out
set is taken from those after.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import reasoning_gym

from kubeswarm_workers.environments import reward
from kubeswarm_workers.environments.context import Context
from kubeswarm_workers.environments.contract import Score, Transcript, Turn
from kubeswarm_workers.environments.split import Task
from kubeswarm_workers.seeds import seed_of

INSTRUCTION = "Put the answer inside <answer> tags."
#: Numbers looked at for each held-out item that is wanted, before the task counts as too small.
SEARCH = 20


class ReasoningSource:
    """Implements `split.Source`. `spec`: a spec's environment.reasoningGym, with its defaults, as JSON data."""

    def __init__(self, spec: Mapping[str, Any], context: Context) -> None:
        self._tags: bool = spec["answerTags"]
        self._scorer: str = spec["scorer"]
        self._weights: Mapping[str, float] = spec["reward"]
        items, shots, spare = spec["items"], spec["shots"], SEARCH * (context.held_out_items + 1)
        names = {task.get("label") or task["name"]: task for task in spec["tasks"]}
        self._data = {
            label: reasoning_gym.create_dataset(
                task["name"],
                **{
                    **task["args"],
                    "seed": seed_of("reasoning-gym", context.seed, label) % 2**31,
                    "size": items + shots + spare,
                },
            )
            for label, task in names.items()
        }
        self._entry = functools.lru_cache(maxsize=4096)(self._generate)
        self._shots = range(items, items + shots)
        self.tasks = {
            label: Task(
                items=items,
                spare=range(items + shots, items + shots + spare),
                weight=task["weight"],
                shown=frozenset(self._question(label, item) for item in self._shots),
            )
            for label, task in names.items()
        }

    def _generate(self, task: str, item: int) -> dict[str, Any]:
        return self._data[task][item]

    def _question(self, task: str, item: int) -> str:
        return str(self._entry(task, item)["question"]).strip()

    def answer(self, task: str, item: int) -> str:
        """The reference answer."""
        return str(self._entry(task, item)["answer"]).strip()

    def turns(self, task: str, item: int) -> tuple[Turn, ...]:
        """An instruction where tags are asked for, the solved examples, the question."""
        turns = [Turn("system", INSTRUCTION)] if self._tags else []
        for shot in self._shots:
            answer = self.answer(task, shot)
            turns += [
                Turn("user", self._question(task, shot)),
                Turn("assistant", f"<answer>{answer}</answer>" if self._tags else answer),
            ]
        return (*turns, Turn("user", self._question(task, item)))

    def score(self, task: str, item: int, transcripts: Sequence[Transcript]) -> list[Score]:
        """strict: the weighted parts; partial: the dataset's own scorer, which pays for answers that are not right."""
        entry, dataset = self._entry(task, item), self._data[task]
        texts = [transcript[-1].content for transcript in transcripts]

        def own(answer: str) -> float:
            return float(dataset.score_answer(answer, entry))

        if self._scorer == "partial":
            return [reward.partial(text, own, self._tags) for text in texts]
        expected = self.answer(task, item)
        return [reward.weighted(text, expected, own, self._weights, self._tags) for text in texts]
