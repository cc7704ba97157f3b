"""How to train: what a Swarm says once and every one of its Nodes carries."""

from typing import Self

from pydantic import Field, model_validator

from kubeswarm_api.base import Model, cel, pattern_message
from kubeswarm_api.encoding import canonical_json, digest
from kubeswarm_api.rollouts import MAX_TURNS
from kubeswarm_api.spec_algorithm import Algorithm
from kubeswarm_api.spec_environment import Environment
from kubeswarm_api.spec_model import ModelSource

_TOO_MANY_COMPLETIONS = "algorithm.prompts x algorithm.groupSize is over 16384 completions a round: lower one of them"
_DECAYED = "rounds is over algorithm.decayRounds, where the learning rate is 0: raise decayRounds or lower rounds"

_IN_FLIGHT = "async.inFlightAfter needs async.maxStaleness 1: set that, or leave inFlightAfter out"
_NEVER_IN_FLIGHT = "async.inFlightAfter has to be under rollout.maxTokens, or it never comes: lower it"

_SCALED = "maxWorkers needs workers of at least 1, and at most maxWorkers: raise workers, or leave maxWorkers out"

SIZE = r"^[1-9][0-9]*(Mi|Gi|Ti|M|G|T)$"
_UNITS = {"M": 10**6, "G": 10**9, "T": 10**12, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def size_bytes(size: str) -> int:
    """The bytes of a size that matches SIZE."""
    number = size.rstrip("MGTi")
    return int(number) * _UNITS[size[len(number) :]]


class Rollout(Model):
    """How completions are sampled."""

    workers: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Rollout pods a Node. 0: the engine lives in the head pod beside the learner.",
    )
    max_workers: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Up to this an autoscaler may set the scale of each Node, from `workers` on. Left out: none may.",
    )
    max_tokens: int = Field(default=64, ge=1, le=32768, description="New tokens a completion at most.")
    temperature: float = Field(default=1.0, gt=0, le=4, description="Sampling temperature.")
    max_turns: int = Field(
        default=1,
        ge=1,
        le=MAX_TURNS,
        description="Answers an episode at most, each of maxTokens. Over 1 the environment is asked what it says to an "
        "answer (python.step, openEnv, verifiers); what it says is read, and never learnt.",
    )

    @property
    def max_episode_tokens(self) -> int:
        """Sampled tokens of an episode at most."""
        return self.max_tokens * self.max_turns

    cel_rules = (
        cel(
            "!has(self.maxWorkers) || (self.workers >= 1 && self.maxWorkers >= self.workers)",
            _SCALED,
            fieldPath=".maxWorkers",
        ),
    )

    @model_validator(mode="after")
    def _scalable(self) -> Self:
        if self.max_workers is not None and not 1 <= self.workers <= self.max_workers:
            raise ValueError(_SCALED)
        return self


class Asynchrony(Model):
    """Whether sampling and learning take turns or go on at the same time."""

    max_staleness: int = Field(
        default=0,
        ge=0,
        le=1,
        description="Updates that a Node's own completions may be behind. 0: sample, then update. "
        "1: the engines sample the next round while the learner updates, always with the policy before that update.",
    )
    in_flight_after: int | None = Field(
        default=None,
        ge=1,
        le=32767,
        description="With maxStaleness 1: the next round's completions begin with the policy before the update, and "
        "after this many forward passes of an engine (tokens, of those that ran from the start) what is unfinished "
        "goes on with the policy after it (vLLM's pause with kept requests). The point is fixed, so that a run stays a "
        "function of its seed: the engines wait there for the update, or the update for them. Left out: completions "
        "end with the policy that they began with.",
    )

    cel_rules = (cel("!has(self.inFlightAfter) || self.maxStaleness >= 1", _IN_FLIGHT, fieldPath=".inFlightAfter"),)

    @model_validator(mode="after")
    def _beside_learning(self) -> Self:
        if self.in_flight_after is not None and self.max_staleness < 1:
            raise ValueError(_IN_FLIGHT)
        return self


class Sharing(Model):
    """Learning from the other Nodes' rollouts (swarm sampling: SAPO, arXiv 2509.08721)."""

    external: int = Field(
        default=4,
        ge=0,
        le=1024,
        description="Groups of other Nodes that an update takes at most, beside its own. 0: none.",
    )
    max_age_rounds: int = Field(
        default=8,
        ge=1,
        le=1000,
        description="A foreign group is taken only if its round is at most this far from one's own.",
    )


class Evaluation(Model):
    """Reward on a fixed held-out set, before the first round, every few rounds and after the last."""

    items: int = Field(default=32, ge=0, le=4096, description="Held-out items, never trained on. 0: no evaluation.")
    every: int = Field(default=8, ge=1, le=10000, description="Rounds between evaluations.")


class Retention(Model):
    """What stays on the claim beside what a Node needs to go on."""

    checkpoints: int = Field(
        default=2, ge=2, le=1000, description="Checkpoints: the newest ones, so that a damaged one is no loss."
    )
    checkpoint_every: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Beside those, each checkpoint whose round is a multiple of this: a replay begins at the one "
        "before. 0: none.",
    )
    rollouts: int = Field(
        default=1000,
        ge=0,
        le=1_000_000,
        description="Rounds whose rollouts are kept, to be read and replayed. 0: none.",
    )
    rollouts_size: str = Field(
        default="1Gi",
        pattern=SIZE,
        max_length=16,
        description="Bytes that they may take, such as 1Gi; the oldest go first.",
        json_schema_extra=pattern_message("rolloutsSize must be a whole number of Mi, Gi, Ti, M, G or T, such as 1Gi"),
    )

    @property
    def rollouts_bytes(self) -> int:
        """rollouts_size as a number."""
        return size_bytes(self.rollouts_size)


class Storage(Model):
    """The claim that each Node's checkpoints and spool live on."""

    size: str = Field(
        default="10Gi",
        pattern=SIZE,
        max_length=16,
        description="Size of the claim, such as 10Gi.",
        json_schema_extra=pattern_message("size must be a whole number of Mi, Gi, Ti, M, G or T, such as 10Gi"),
    )
    storage_class_name: str | None = Field(
        default=None, max_length=253, description="Its storage class. Left out: the cluster's default."
    )
    keep: Retention = Field(default_factory=Retention, description="What stays on it.")

    cel_rules = (
        cel(
            "quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0",
            "size can't shrink, because volumes only grow: keep it or raise it",
            fieldPath=".size",
        ),
        cel(
            "has(self.storageClassName) == has(oldSelf.storageClassName) && "
            "(!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
            "storageClassName can't be changed after creation: make a new Swarm or Node",
        ),
    )


class Attestation(Model):
    """When finished rounds go to the chain: one attestation covers all that are waiting."""

    rounds: int = Field(default=4, ge=1, le=1024, description="Attest as soon as this many rounds are waiting.")
    seconds: int = Field(default=60, ge=1, le=86400, description="Attest when the oldest one waits this long.")


class Identity(Model):
    """The Node's persistent key."""

    retain: bool = Field(default=True, description="Keep the key's Secret when the Node is deleted.")


class TrainingSpec(Model):
    """What a Swarm and each of its Nodes have in common."""

    model: ModelSource = Field(description="The base model, and how much of it is trained.")
    environment: Environment = Field(description="Where prompts and rewards come from.")
    rounds: int = Field(default=100, ge=1, le=1_000_000, description="Rounds that each Node trains.")
    seed: int = Field(
        default=0, ge=0, le=2**31 - 1, description="Seed of everything drawn: items, sampling, held-out set."
    )
    algorithm: Algorithm = Field(default_factory=Algorithm, description="The update.")
    rollout: Rollout = Field(default_factory=Rollout, description="How completions are sampled.")
    asynchronous: Asynchrony = Field(
        default_factory=Asynchrony, alias="async", description="Whether sampling waits for learning."
    )
    sharing: Sharing = Field(default_factory=Sharing, description="What is learnt from other Nodes.")
    evaluation: Evaluation = Field(default_factory=Evaluation, description="The held-out measurement.")

    cel_rules = (
        cel(
            "self.seed == oldSelf.seed",
            "seed can't be changed after creation: make a new Swarm",
            fieldPath=".seed",
        ),
        cel(
            "self.model == oldSelf.model",
            "model can't be changed after creation: make a new Swarm",
            fieldPath=".model",
        ),
        cel(
            "self.algorithm.prompts * self.algorithm.groupSize <= 16384",
            _TOO_MANY_COMPLETIONS,
            fieldPath=".algorithm",
        ),
        cel(
            "!has(self.algorithm.decayRounds) || self.rounds <= self.algorithm.decayRounds",
            _DECAYED,
            fieldPath=".rounds",
        ),
        cel(
            "!has(self.async.inFlightAfter) || self.async.inFlightAfter < self.rollout.maxTokens",
            _NEVER_IN_FLIGHT,
            fieldPath=".async",
        ),
    )

    def training(self) -> "TrainingSpec":
        """This part alone, of a spec that says more."""
        return TrainingSpec.model_validate({field: getattr(self, field) for field in TrainingSpec.model_fields})

    def training_digest(self) -> bytes:
        """What the chain records as a Swarm's configuration."""
        return digest(canonical_json(self.training().to_json()))

    @model_validator(mode="after")
    def _within_bounds(self) -> Self:
        if self.algorithm.prompts * self.algorithm.group_size > 16384:
            raise ValueError(_TOO_MANY_COMPLETIONS)
        if self.algorithm.decay_rounds is not None and self.rounds > self.algorithm.decay_rounds:
            raise ValueError(_DECAYED)
        in_flight_after = self.asynchronous.in_flight_after
        if in_flight_after is not None and in_flight_after >= self.rollout.max_tokens:
            raise ValueError(_NEVER_IN_FLIGHT)
        return self
