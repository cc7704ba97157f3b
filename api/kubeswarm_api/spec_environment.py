"""What to train on: tasks that give prompts and score completions."""

from typing import Self

from pydantic import Field, JsonValue, model_validator

from kubeswarm_api.base import Model, OneOf, cel, pattern_message


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
    weight: float = Field(default=1.0, gt=0, le=1000, description="How often it is drawn, relative to the other tasks.")


class ReasoningGym(Model):
    """Tasks of reasoning-gym, drawn by weight, with a fixed held-out set that is never trained on."""

    tasks: list[ReasoningGymTask] = Field(min_length=1, max_length=32, description="The tasks; at least one.")
    items: int = Field(default=2000, ge=1, le=1_000_000, description="Distinct training items a task.")
    shots: int = Field(
        default=1, ge=0, le=4, description="Solved examples shown in each prompt, from items of their own."
    )
    answer_tags: bool = Field(
        default=True,
        description="Ask for the answer inside <answer> tags. false: the whole completion is the answer.",
    )
    reward: RewardWeights = Field(default_factory=RewardWeights, description="How the reward is put together.")


class Environment(OneOf):
    """Where prompts and rewards come from: exactly one kind."""

    one_of = ("reasoning_gym",)

    reasoning_gym: ReasoningGym | None = Field(default=None, description="Procedurally generated, scored tasks.")
