"""The update's algorithm: a preset, and what a Swarm chooses otherwise."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Self

from pydantic import Field, model_validator

from kubeswarm_api import presets
from kubeswarm_api.base import Model, cel
from kubeswarm_api.presets import BOUNDS, PRESETS, Choices

#: What a preset chooses.
_CHOSEN = ("baseline", "scale", "ratio", "surrogate", "clip_low", "clip_high", "aggregation", "drop_zero_variance")


@dataclass(frozen=True)
class Rule:
    """A combination that has a meaning, as a predicate and as CEL; and what is said of one that hasn't."""

    field: str
    message: str
    holds: Callable[["Algorithm"], bool]
    cel: str


def _effective(field: str, part: str) -> str:
    """CEL for a choice, the preset's where the spec has none."""
    table = ", ".join(f"'{name}': '{getattr(choices, part)}'" for name, choices in PRESETS.items())
    return f"(has({field}) ? {field} : {{{table}}}[self.preset])"


_SURROGATE = _effective("self.surrogate", "surrogate")
_KIND = _effective("self.correction.kind", "correction")

RULES: tuple[Rule, ...] = (
    Rule(
        ".clipLow",
        "clipLow bounds nothing with this surrogate: leave it out, or set surrogate to clip",
        lambda a: a.clip_low is None or a.choices().surrogate == "clip",
        f"!has(self.clipLow) || {_SURROGATE} == 'clip'",
    ),
    Rule(
        ".clipHigh",
        "clipHigh bounds nothing with surrogate unclipped: leave it out, or set surrogate to clip or cispo",
        lambda a: a.clip_high is None or a.choices().surrogate != "unclipped",
        f"!has(self.clipHigh) || {_SURROGATE} != 'unclipped'",
    ),
    Rule(
        ".correction",
        "correction.kind clip leaves the ratio unbounded with surrogate unclipped: set surrogate to clip or cispo, or "
        "correction.kind to tis",
        lambda a: a.choices().correction != "clip" or a.choices().surrogate != "unclipped",
        f"{_KIND} != 'clip' || {_SURROGATE} != 'unclipped'",
    ),
    Rule(
        ".correction",
        "correction.cap bounds nothing here: leave it out, or set correction.kind to tis, mis or icepop",
        lambda a: (
            a.correction.cap is None
            or a.choices().correction in ("tis", "mis", "icepop")
            or (a.choices().correction == "clip" and a.choices().surrogate == "clip")
        ),
        f"!has(self.correction.cap) || {_KIND} in ['tis', 'mis', 'icepop'] || "
        f"({_KIND} == 'clip' && {_SURROGATE} == 'clip')",
    ),
    Rule(
        ".correction",
        "correction.floor is a bound of icepop alone: leave it out, or set correction.kind to icepop",
        lambda a: a.correction.floor is None or a.choices().correction == "icepop",
        f"!has(self.correction.floor) || {_KIND} == 'icepop'",
    ),
    Rule(
        ".correction",
        "correction.level says nothing without a weight: leave it out, or set correction.kind to tis, mis or icepop",
        lambda a: a.correction.level is None or a.choices().correction in ("tis", "mis", "icepop"),
        f"!has(self.correction.level) || {_KIND} in ['tis', 'mis', 'icepop']",
    ),
    Rule(
        ".decay",
        "decay linear or cosine needs decayRounds, and constant has none: set both or neither",
        lambda a: (a.decay == "constant") == (a.decay_rounds is None),
        "(self.decay == 'constant') == !has(self.decayRounds)",
    ),
    Rule(
        ".decayRounds",
        "decayRounds must be over warmupRounds: raise it, or lower warmupRounds",
        lambda a: a.decay_rounds is None or a.decay_rounds > a.warmup_rounds,
        "!has(self.decayRounds) || self.decayRounds > self.warmupRounds",
    ),
    Rule(
        ".updates",
        "updates is over prompts, so that some would have no group to learn from: lower it or raise prompts",
        lambda a: a.updates <= a.prompts,
        "self.updates <= self.prompts",
    ),
    Rule(
        ".minMeanReward",
        "minMeanReward must be under maxMeanReward: lower it or raise maxMeanReward",
        lambda a: a.min_mean_reward is None or a.max_mean_reward is None or a.min_mean_reward < a.max_mean_reward,
        "!has(self.minMeanReward) || !has(self.maxMeanReward) || self.minMeanReward < self.maxMeanReward",
    ),
)


class Correction(Model):
    """How an update is corrected for samples that another policy made (engine, stale or foreign)."""

    kind: presets.CorrectionKind | None = Field(
        default=None,
        description="With w the learner's over the sampler's probability. tis: a token counts min(w, cap) (truncated "
        "importance sampling); mis: w, and 0 over cap (masked); icepop: w, and 0 outside [floor, cap]; clip: no "
        "weight, the surrogate's own ratio is taken to the sampler, bounded by clipLow and clipHigh, and by cap where "
        "the advantage is negative (two-sided clip); none: samples count as the learner's own. Left out: the preset's.",
    )
    level: presets.Level | None = Field(
        default=None,
        description="Whether w is of each token or of its whole completion (the product). Left out: token.",
    )
    cap: float | None = Field(
        default=None, ge=1, le=1000, description="Upper bound. Left out: 2 for tis and mis, 5 for icepop, 4 for clip."
    )
    floor: float | None = Field(default=None, ge=0, le=1, description="Lower bound of icepop. Left out: 0.5.")


class Algorithm(Model):
    """The policy-gradient update. What is left out is the preset's."""

    preset: presets.Preset = Field(default="grpo", description=f"What is chosen together. {presets.described()}.")
    prompts: int = Field(default=8, ge=1, le=1024, description="Prompts a Node draws each round.")
    group_size: int = Field(default=8, ge=2, le=256, description="Completions sampled a prompt.")
    learning_rate: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Peak learning rate. Left out: 4e-4 with a low-rank adapter, 2e-5 without. 0: nothing is learnt, "
        "which shows what the meters read of a policy that stands still.",
    )
    warmup_rounds: int = Field(
        default=0, ge=0, le=1_000_000, description="Rounds over which the learning rate rises linearly to its peak."
    )
    decay: Literal["constant", "linear", "cosine"] = Field(
        default="constant", description="How the learning rate falls after the warm-up, to 0 after decayRounds."
    )
    decay_rounds: int | None = Field(
        default=None, ge=1, le=1_000_000, description="The round, counted from the first, after which it is 0."
    )
    baseline: presets.Baseline | None = Field(
        default=None,
        description="What a reward is compared with. group: the mean of its group; leaveOneOut: of the group's others; "
        "batch: of the whole batch; none: 0.",
    )
    scale: presets.Scale | None = Field(
        default=None,
        description="What the difference is divided by. none: 1; group: the standard deviation of the group's rewards; "
        "batch: that of all the batch's rewards.",
    )
    ratio: presets.Level | None = Field(
        default=None,
        description="Of what the ratio new to old policy is. token: each token; sequence: the geometric mean over the "
        "completion.",
    )
    surrogate: presets.Surrogate | None = Field(
        default=None,
        description="clip: min(r A, clip(r, 1 - clipLow, 1 + clipHigh) A); cispo: min(r, 1 + clipHigh) as a constant "
        "weight of A log p; unclipped: r A.",
    )
    clip_low: float | None = Field(default=None, ge=0, lt=1, description="Lower clip of the policy ratio: 1 - clipLow.")
    clip_high: float | None = Field(
        default=None, ge=0, le=100, description="Upper clip of the policy ratio: 1 + clipHigh."
    )
    aggregation: presets.Aggregation | None = Field(
        default=None,
        description="How tokens make one loss. token: mean over the batch's tokens; sequence: mean over completions of "
        "their token means; prompt: mean over prompts of their groups' token means; constant: sum, divided by "
        "completions times rollout.maxTokens.",
    )
    correction: Correction = Field(default_factory=Correction, description="Correction for off-policy samples.")
    kl_coefficient: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="Weight of the KL divergence from the base model. Over 0 it costs a forward pass, and without a "
        "low-rank adapter a second copy of the model.",
    )
    kl_estimator: presets.KlEstimator = Field(
        default="k3",
        description="How it is estimated. k3: never negative, with a biased gradient; unbiased: k3 times the "
        "policy's over the sampler's probability, whose gradient is that of the divergence.",
    )
    drop_zero_variance: bool | None = Field(
        default=None, description="Leave out groups whose rewards are all equal, instead of counting their tokens."
    )
    drop_truncated: bool = Field(
        default=False,
        description="Leave out completions that ended at rollout.maxTokens (overlong filtering). Their rewards stay in "
        "the baseline of the others.",
    )
    min_mean_reward: float | None = Field(
        default=None, ge=-1000, le=1000, description="Leave out groups with a lower mean reward: too hard."
    )
    max_mean_reward: float | None = Field(
        default=None, ge=-1000, le=1000, description="Leave out groups with a higher mean reward: too easy."
    )
    updates: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Optimiser steps a round, each on an equal share of the groups. With 1 the policy ratio is 1 and "
        "clips nothing, unless correction.kind is clip.",
    )
    max_grad_norm: float = Field(default=1.0, gt=0, le=1000, description="The gradient is scaled down to this norm.")
    tokens_per_micro_batch: int = Field(
        default=1024, ge=64, le=1_048_576, description="Tokens of one forward pass: memory, never the result."
    )
    gradient_checkpointing: bool = Field(
        default=False, description="Compute activations again in the backward pass: less memory, a third more time."
    )

    cel_rules = tuple(cel(rule.cel, rule.message, fieldPath=rule.field) for rule in RULES)

    def choices(self) -> Choices:
        """The preset's choices with this spec's own over them, bounds of the correction filled in."""
        own = {name: getattr(self, name) for name in _CHOSEN} | {"correction": self.correction.kind}
        chosen = replace(PRESETS[self.preset], **{name: value for name, value in own.items() if value is not None})
        floor, cap = BOUNDS[chosen.correction]
        given = self.correction
        return replace(
            chosen,
            level=given.level or "token",
            floor=floor if given.floor is None else given.floor,
            cap=cap if given.cap is None else given.cap,
        )

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        for rule in RULES:
            if not rule.holds(self):
                raise ValueError(rule.message)
        return self
