"""How completions are scored, and where the code and data for that come from."""

from typing import Any, Self

from pydantic import Field, model_validator

from kubeswarm_api.base import Model, OneOf, cel, pattern_message

#: The name of a Python function, and a path of fields in a row.
FUNCTION = r"^[A-Za-z_][A-Za-z0-9_]*$"
FIELD = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$"


def function_message(field: str) -> dict[str, Any]:
    """What is said of a value that is not FUNCTION."""
    return pattern_message(f"{field} must be a Python name")


def field_message(field: str) -> dict[str, Any]:
    """What is said of a value that is not FIELD."""
    return pattern_message(f"{field} must be a field, or a path of fields such as reward_model.ground_truth")


class RewardWeights(Model):
    """How a completion's reward is put together; each part lies in 0..1, and so does the weighted mean."""

    format: float = Field(default=0.2, ge=0, le=1, description="Weight of an answer inside <answer> tags.")
    similarity: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Weight of the similarity of the answer's text to the expected one.",
    )
    exact: float = Field(
        default=0.6, ge=0, le=1, description="Weight of an answer that the task's scorer accepts in full."
    )

    cel_rules = (
        cel(
            "self.format + self.similarity + self.exact > 0.0",
            "at least one of format, similarity and exact must be over 0, or every reward is 0",
        ),
    )

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        if self.format + self.similarity + self.exact <= 0:
            raise ValueError("at least one of format, similarity and exact must be over 0, or every reward is 0")
        return self


class ConfigMapKey(Model):
    """One key of a ConfigMap in the same namespace. It is read when the trainer starts."""

    name: str = Field(min_length=1, max_length=253, description="The ConfigMap's name.")
    key: str = Field(
        pattern=r"^[-._a-zA-Z0-9]+$",
        max_length=253,
        description="The key whose value is the file.",
        json_schema_extra=pattern_message("key may hold letters, digits, dot, underscore and dash"),
    )


class Code(OneOf):
    """Python code: from exactly one of a ConfigMap, a file, an installed package."""

    one_of = ("config_map", "file", "module")

    config_map: ConfigMapKey | None = Field(default=None, description="Source in a ConfigMap; mounted by the operator.")
    file: str | None = Field(
        default=None, min_length=1, max_length=1024, description="Path of a source file where the trainer runs."
    )
    module: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$",
        max_length=256,
        description="A module that the environment's interpreter can import.",
        json_schema_extra=pattern_message("module must be a dotted name such as package.module"),
    )


class Data(OneOf):
    """Rows as JSON lines (.jsonl) or Parquet (.parquet, with pyarrow in the environment's interpreter)."""

    one_of = ("config_map", "file")

    config_map: ConfigMapKey | None = Field(default=None, description="A key of a ConfigMap; 1 MiB at most.")
    file: str | None = Field(
        default=None, min_length=1, max_length=1024, description="Path of the file where the trainer runs."
    )


class RewardFunction(Model):
    """A Python function that gives rewards, with TRL's or verl's signature; its parameters' names tell which.

    TRL: reward(prompts, completions, **columns) -> list of numbers. verl: compute_score(data_source, solution_str,
    ground_truth, extra_info) -> a number, or a map with "score".
    """

    name: str = Field(
        default="reward",
        pattern=FUNCTION,
        max_length=64,
        description="The function's name.",
        json_schema_extra=function_message("name"),
    )
    weight: float = Field(default=1.0, ge=-1000, le=1000, description="Its weight in the reward, which is the sum.")
    strict: bool = Field(
        default=False,
        description="Its value of 1 or more means that the answer is right: that is reported as the component strict.",
    )


class CodedRewards(Model):
    """Reward functions of one source."""

    code: Code = Field(description="Where the functions are.")
    functions: list[RewardFunction] = Field(
        default=[RewardFunction()], min_length=1, max_length=8, description="The functions; left out: reward."
    )


class Match(Model):
    """Rewards for the expected answer's text, without regard to case and space around it."""

    answer_tags: bool = Field(
        default=True, description="The answer is what stands inside <answer> tags. false: the whole completion."
    )
    reward: RewardWeights = Field(default_factory=RewardWeights, description="How the reward is put together.")


class Program(Model):
    """Rewards for Python programs: the share of tests passed, run in a sandbox.

    The answer is the last fenced code block, or the whole completion. A row's tests are a list of {input, output}:
    what the program reads, and what it has to print.
    """

    tests: str = Field(
        default="tests",
        pattern=FIELD,
        max_length=128,
        description="The field with the tests.",
        json_schema_extra=field_message("tests"),
    )
    seconds: float = Field(default=5.0, gt=0, le=600, description="Processor and wall time of one test.")
    memory_mebibytes: int = Field(default=512, ge=64, le=65536, description="Address space of the program, in MiB.")


class Reward(OneOf):
    """How rows of data are scored: exactly one way."""

    one_of = ("match", "python", "program")

    match: Match | None = Field(default=None, description="The expected answer's text.")
    python: CodedRewards | None = Field(default=None, description="Your own functions.")
    program: Program | None = Field(default=None, description="Python programs and their tests.")
