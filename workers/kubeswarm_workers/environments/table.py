"""Rows as tasks: of a dataset's file, or of a Python function."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kubeswarm_workers.environments.context import Context, function
from kubeswarm_workers.environments.contract import Scored, Transcript, Turn
from kubeswarm_workers.environments.rewards import Reward, coded, messages, reward_of
from kubeswarm_workers.environments.rows import Row, field, read
from kubeswarm_workers.environments.split import Task
from kubeswarm_workers.seeds import seed_of

#: Rows that are held in memory at most.
MAX_ROWS = 1_000_000
MAX_TASKS = 32
ROLES = ("system", "user", "assistant")


class TableSource:
    """Implements `split.Source`. Of each task the held-out rows are the first ones of a shuffle by the seed."""

    def __init__(self, rows: Iterable[Row], fields: Mapping[str, str], instruction: str, reward: Reward, seed: int):
        self._fields = fields
        self._instruction = [Turn("system", instruction)] if instruction else []
        self._reward = reward
        self._rows: dict[str, list[Row]] = {}
        for number, row in enumerate(rows):
            if number == MAX_ROWS:
                raise ValueError(f"over {MAX_ROWS} rows: take a part of them")
            task = str(field(row, fields["task"])) if "task" in fields else "dataset"
            self._rows.setdefault(task[:64], []).append(row)
            if len(self._rows) > MAX_TASKS:
                raise ValueError(f"the field {fields['task']} has over {MAX_TASKS} values: leave fields.task out")
            self._messages(row, number)
        if not self._rows:
            raise ValueError("there are no rows")
        self.tasks = {
            task: Task(items=len(rows), spare=shuffled(len(rows), seed_of("held-out", seed, task)))
            for task, rows in sorted(self._rows.items())
        }

    def _messages(self, row: Row, number: int) -> list[Turn]:
        prompt = field(row, self._fields["prompt"])
        if isinstance(prompt, str) and prompt:
            return [Turn("user", prompt)]
        if not isinstance(prompt, Sequence) or isinstance(prompt, str) or not len(prompt):
            raise ValueError(f"row {number}: {self._fields['prompt']} must be text or a list of messages")
        turns = [Turn(str(each["role"]), str(each["content"])) for each in prompt]
        if turns[-1].role != "user" or any(turn.role not in ROLES for turn in turns):
            raise ValueError(
                f"row {number}: messages need roles {', '.join(ROLES)}, and the last one must be the user's"
            )
        return turns

    def turns(self, task: str, item: int) -> tuple[Turn, ...]:
        """The instruction, then the row's own messages."""
        return (*self._instruction, *self._messages(self._rows[task][item], item))

    def score(self, task: str, item: int, transcripts: Sequence[Transcript]) -> Sequence[Scored]:
        """What the reward gives for the row."""
        return self._reward(self._rows[task][item], self.turns(task, item), transcripts)


class SteppingTable(TableSource):
    """Implements `split.Stepping`: `call(messages, **columns)` gives the user's next message, None at the end."""

    def __init__(self, call: Callable[..., Any], **table: Any) -> None:
        super().__init__(**table)
        self._call = call

    def step(self, task: str, item: int, transcript: Transcript) -> list[Turn]:
        """What the function says."""
        row = self._rows[task][item]
        columns = {name: value for name, value in row.items() if name not in ("prompt", "messages")}
        said = self._call(messages=messages([*self.turns(task, item), *transcript]), **columns)
        return [] if said is None else [Turn("user", str(said))]


def shuffled(count: int, seed: int) -> list[int]:
    """The numbers 0 to count - 1 in an order that the seed decides."""
    order = list(range(count))
    random.Random(seed).shuffle(order)  # noqa: S311
    return order


def dataset(spec: Mapping[str, Any], context: Context) -> TableSource:
    """The source of a spec's environment.dataset."""
    rows = read(context.path(spec["data"]))
    reward = reward_of(spec["reward"], spec["fields"], context)
    return TableSource(rows, spec["fields"], spec["instruction"], reward, context.seed)


def python(spec: Mapping[str, Any], context: Context) -> TableSource:
    """The source of a spec's environment.python; its rows have prompt, and answer and task if wanted."""
    module = context.module(spec["code"])
    rows = list(function(module, spec["rows"])(**spec["args"]))
    fields = {"prompt": "prompt", "answer": "answer"}
    if rows and "task" in rows[0]:
        fields["task"] = "task"
    table = {
        "rows": rows,
        "fields": fields,
        "instruction": spec["instruction"],
        "reward": coded(module, spec["functions"], fields, steps="step" in spec),
        "seed": context.seed,
    }
    return SteppingTable(function(module, spec["step"]), **table) if "step" in spec else TableSource(**table)
