"""What to train on: where prompts and rewards come from, and what that may take."""

from collections.abc import Iterator
from typing import Any, Literal, Self

from pydantic import Field, JsonValue, model_validator
from pydantic.alias_generators import to_camel

from kubeswarm_api.base import Model, OneOf, pattern_message
from kubeswarm_api.spec_reward import (
    FIELD,
    FUNCTION,
    Code,
    CodedRewards,
    ConfigMapKey,
    Data,
    Reward,
    RewardWeights,
    field_message,
    function_message,
)


class ReasoningGymTask(Model):
    """One procedurally generated task of reasoning-gym."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]*$",
        max_length=64,
        description="The dataset's name in reasoning-gym, such as chain_sum.",
        json_schema_extra=pattern_message("name must be a dataset of reasoning-gym, such as chain_sum: a-z, 0-9 and _"),
    )
    args: dict[str, JsonValue] = Field(
        default_factory=dict, max_length=32, description="The dataset's own arguments, without size and seed."
    )
    label: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=64,
        description="Its name in metrics, where one dataset is used with several args. Left out: the dataset's.",
        json_schema_extra=pattern_message("label may hold letters, digits, dot, underscore and dash"),
    )
    weight: float = Field(default=1.0, gt=0, le=1000, description="How often it is drawn, relative to the other tasks.")


class ReasoningGym(Model):
    """Tasks of reasoning-gym, drawn by weight, with a fixed held-out set that is never trained on."""

    tasks: list[ReasoningGymTask] = Field(min_length=1, max_length=32, description="The tasks; at least one.")
    scorer: Literal["strict", "partial"] = Field(
        default="strict",
        description="strict: the weighted parts of `reward`. partial: what the dataset's own scorer gives, which for "
        "many datasets pays for answers that are not right; watch the component strict.",
    )
    items: int = Field(default=2000, ge=1, le=1_000_000, description="Distinct training items a task.")
    shots: int = Field(
        default=1, ge=0, le=4, description="Solved examples shown in each prompt, from items of their own."
    )
    answer_tags: bool = Field(
        default=True,
        description="Ask for the answer inside <answer> tags. false: the whole completion is the answer.",
    )
    reward: RewardWeights = Field(default_factory=RewardWeights, description="How the reward is put together.")

    @model_validator(mode="after")
    def _different_labels(self) -> Self:
        labels = [task.label or task.name for task in self.tasks]
        if len(set(labels)) < len(labels):
            raise ValueError("two tasks have one name: give each a label of its own")
        return self


class Fields(Model):
    """Which field of a row is what."""

    prompt: str = Field(
        default="prompt",
        pattern=FIELD,
        max_length=128,
        description="The question: text, or a list of messages with role and content.",
        json_schema_extra=field_message("prompt"),
    )
    answer: str = Field(
        default="answer",
        pattern=FIELD,
        max_length=128,
        description="The expected answer, for match and for verl's ground_truth.",
        json_schema_extra=field_message("answer"),
    )
    task: str | None = Field(
        default=None,
        pattern=FIELD,
        max_length=128,
        description="The row's task, for metrics and the curriculum; 32 different ones at most. Left out: one task.",
        json_schema_extra=field_message("task"),
    )


class Dataset(Model):
    """Rows of a file, with a fixed held-out set that is never trained on."""

    data: Data = Field(description="The file.")
    fields: Fields = Field(default_factory=Fields, description="What the fields are called.")
    instruction: str = Field(default="", max_length=16384, description="A system message before each question.")
    reward: Reward = Field(description="How completions are scored.")


class PythonEnvironment(CodedRewards):
    """Your own Python: a function that gives the rows, and functions that give rewards."""

    rows: str = Field(
        default="rows",
        pattern=FUNCTION,
        max_length=64,
        description="The function that gives the rows: maps with prompt, and with answer and task if wanted.",
        json_schema_extra=function_message("rows"),
    )
    args: dict[str, JsonValue] = Field(default_factory=dict, max_length=32, description="Its arguments.")
    step: str | None = Field(
        default=None,
        pattern=FUNCTION,
        max_length=64,
        description="For episodes of several answers (rollout.maxTurns): the function that answers an answer. "
        "step(messages, **columns) gives the user's next message, or None when the episode is over; what it says must "
        "follow from its arguments alone. Reward functions then get conversations.",
        json_schema_extra=function_message("step"),
    )
    instruction: str = Field(default="", max_length=16384, description="A system message before each question.")


class Verifiers(Model):
    """An environment of the verifiers library.

    Either a Taskset of its v1 API (0.4 or newer) in which one answer is the whole rollout, or a module with
    load_environment of its v0 API (0.3 or older), of one answer or several, without tools. Name the version that it
    needs in interpreter.requirements.
    """

    code: Code = Field(description="The module that has the Taskset or load_environment.")
    config: dict[str, JsonValue] = Field(
        default_factory=dict, max_length=64, description="The taskset's configuration, or load_environment's arguments."
    )
    items: int = Field(default=10000, ge=2, le=1_000_000, description="Tasks that are read of it at most.")


class OpenEnv(Model):
    """An OpenEnv server: reset gives the question, each answer is a step's action, the reward is the sum of the steps'.

    An item is reset(seed=item): the server must do the same for the same seed and actions. Over one step an episode
    needs rollout.maxTurns.
    """

    url: str = Field(
        pattern=r"^https?://[^/\s]+(/[^\s]*)?$",
        max_length=512,
        description="The server, such as http://echo:8000.",
        json_schema_extra=pattern_message("url must begin with http:// or https://"),
    )
    observation: str = Field(
        pattern=FIELD,
        max_length=128,
        description="The observation's field that is shown to the model.",
        json_schema_extra=field_message("observation"),
    )
    action: str = Field(
        pattern=FUNCTION,
        max_length=64,
        description="The action's field that takes the answer.",
        json_schema_extra=function_message("action"),
    )
    action_args: dict[str, JsonValue] = Field(
        default_factory=dict, max_length=32, description="The action's other fields."
    )
    reset_args: dict[str, JsonValue] = Field(
        default_factory=dict, max_length=32, description="Arguments of reset, beside the seed."
    )
    items: int = Field(default=1000, ge=1, le=1_000_000, description="Training items: seeds from 0 on.")
    instruction: str = Field(default="", max_length=16384, description="A system message before each question.")


class Interpreter(OneOf):
    """The Python that the environment runs in: its packages never meet the worker's."""

    one_of = ("path", "requirements")

    path: str | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        description="A Python 3.11 or newer where the trainer runs, such as a virtual environment's on a volume.",
    )
    requirements: list[str] | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Packages of an index, such as verifiers==0.4.0, installed once into a virtual environment that "
        "is kept on the Node's volume.",
    )

    @model_validator(mode="after")
    def _plain_requirements(self) -> Self:
        for each in self.requirements or []:
            if len(each) > 256 or not each[:1].isalnum() or not each.isprintable():
                raise ValueError(f"requirement {each[:64]!r}: name a package, such as verifiers==0.4.0, no option")
        return self


class Limits(Model):
    """What the environment's process may take. What goes over it is ended, started anew and counted."""

    seconds: float = Field(
        default=60.0, gt=0, le=3600, description="Seconds to score the completions of one prompt, at most."
    )
    start_seconds: float = Field(
        default=300.0, gt=0, le=3600, description="Seconds to start, or to give a round's prompts, at most."
    )
    memory_mebibytes: int = Field(
        default=4096, ge=64, le=1_048_576, description="Address space of each of its processes, in MiB."
    )


class Curriculum(Model):
    """Draws tasks more often that are right about as often as wrong, by each Node's own measurements."""

    floor: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="What a task keeps of its weight where it is always right, or always wrong.",
    )


class Environment(OneOf):
    """Where prompts and rewards come from: exactly one kind, in a process of its own."""

    one_of = ("reasoning_gym", "dataset", "python", "verifiers", "open_env")

    reasoning_gym: ReasoningGym | None = Field(default=None, description="Procedurally generated, scored tasks.")
    dataset: Dataset | None = Field(default=None, description="Rows of a file, with a way to score them.")
    python: PythonEnvironment | None = Field(default=None, description="Your own Python functions.")
    verifiers: Verifiers | None = Field(default=None, description="A taskset of the verifiers library.")
    open_env: OpenEnv | None = Field(default=None, description="An OpenEnv server.")
    interpreter: Interpreter | None = Field(
        default=None, description="The Python that it runs in. Left out: the worker's own."
    )
    limits: Limits = Field(default_factory=Limits, description="What its process may take.")
    curriculum: Curriculum | None = Field(
        default=None,
        description="Follow the tasks' measured difficulty. Left out: the weights alone say how often each is drawn.",
    )

    def kind(self) -> tuple[str, dict[str, Any]]:
        """The kind that is set, as it is spelt in a spec, and what stands under it, with all defaults."""
        content = self.to_json()
        return next((name, content[name]) for name in map(to_camel, self.one_of) if name in content)

    def config_maps(self) -> list[str]:
        """The ConfigMaps that code or data is in, each once."""
        return sorted({key.name for key in _config_map_keys(self)})


def _config_map_keys(model: Model) -> Iterator[ConfigMapKey]:
    for value in vars(model).values():
        if isinstance(value, ConfigMapKey):
            yield value
        elif isinstance(value, Model):
            yield from _config_map_keys(value)
