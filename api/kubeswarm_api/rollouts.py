"""Rollouts as they travel between Nodes: bounded, msgpack, and digested completion by completion."""

import itertools
from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from kubeswarm_api import merkle
from kubeswarm_api.base import Model
from kubeswarm_api.encoding import canonical_msgpack, decode_msgpack, digest
from kubeswarm_api.errors import InvalidBatch
from kubeswarm_api.records import Address, Digest

MAX_BATCH_BYTES = 4 * 1024 * 1024
#: A message is a batch and its headers.
MAX_MESSAGE_BYTES = MAX_BATCH_BYTES + 4096
MAX_GROUPS = 1024
MAX_COMPLETIONS = 256
MAX_TOKENS = 32768
#: Answers of one episode.
MAX_TURNS = 64
VOCABULARY_LIMIT = 2**31

#: Why a foreign batch or group is not taken; each is counted.
DROP_REASONS = (
    "size",
    "schema",
    "digest",
    "signature",
    "membership",
    "window",
    "environment",
    "reward",
    "duplicate",
    "queue",
)


TokenId = Annotated[int, Field(ge=0, lt=VOCABULARY_LIMIT)]
Logprob = Annotated[float, Field(le=0, allow_inf_nan=False)]


def sampled(length: int, given: Sequence[int]) -> list[bool]:
    """Which of `length` tokens were sampled: all but those within the bounds `given` (see Completion)."""
    mask = [True] * length
    for first, end in zip(given[::2], given[1::2], strict=True):
        mask[first:end] = [False] * (end - first)
    return mask


class Completion(Model):
    """One sampled episode: T tokens, and the log-probability of each under the policy that sampled it.

    An episode of several answers has the environment's turns between them: `given` says where.
    """

    tokens: list[TokenId] = Field(min_length=1, max_length=MAX_TOKENS, description="Token ids, shape (T,).")
    logprobs: list[Logprob] = Field(
        min_length=1,
        max_length=MAX_TOKENS,
        description="Processed log-probabilities of the sampled tokens, shape (T,), float32.",
    )
    reward: float = Field(ge=-1000, le=1000, allow_inf_nan=False)
    truncated: bool = Field(description="It ended at a limit (of tokens, of turns), not at a stop.")
    given: list[int] = Field(
        default_factory=list[int],
        max_length=2 * MAX_TURNS,
        description="Where the environment's tokens are: first and end of each stretch, [first, end, first, end, ...]. "
        "Their logprobs are 0.",
    )
    switched_at: int | None = Field(
        default=None,
        ge=0,
        description="The tokens from this index on were sampled by the batch's `switched_to`, those before by its "
        "`model`. None: all of them by `model`.",
    )

    @model_validator(mode="after")
    def _one_logprob_a_token(self) -> Self:
        if len(self.tokens) != len(self.logprobs):
            raise ValueError(f"{len(self.tokens)} tokens but {len(self.logprobs)} logprobs")
        return self

    @model_validator(mode="after")
    def _stretches_between_answers(self) -> Self:
        bounds = [0, *self.given, len(self.tokens)]
        if len(self.given) % 2 or any(first >= end for first, end in itertools.pairwise(bounds)):
            raise ValueError("given must be [first, end, ...], rising, with sampled tokens before, between and after")
        return self

    @model_validator(mode="after")
    def _switched_within(self) -> Self:
        if self.switched_at is not None and self.switched_at >= len(self.tokens):
            raise ValueError(f"switchedAt {self.switched_at} is not one of {len(self.tokens)} tokens")
        return self

    @property
    def sampled(self) -> list[bool]:
        """Which tokens the policy sampled, shape (T,)."""
        return sampled(len(self.tokens), self.given)


class Group(Model):
    """G completions of one prompt; the prompt itself follows from the environment's task and item."""

    task: str = Field(max_length=64)
    item: int = Field(ge=0, lt=2**31)
    prompt_tokens: list[TokenId] = Field(min_length=1, max_length=MAX_TOKENS)
    completions: list[Completion] = Field(min_length=1, max_length=MAX_COMPLETIONS)


class RolloutBatch(Model):
    """What a Node publishes of one round. `model` is the digest of the policy that sampled it, `switched_to` that of
    the one which went on in the middle of completions (see Completion.switched_at); None where none did."""

    swarm_id: Digest
    node_id: Address
    round: int = Field(ge=1, lt=2**63)
    model: Digest
    switched_to: Digest | None = None
    groups: list[Group] = Field(max_length=MAX_GROUPS)

    @model_validator(mode="after")
    def _names_who_went_on(self) -> Self:
        switched = any(each.switched_at is not None for group in self.groups for each in group.completions)
        if switched and self.switched_to is None:
            raise ValueError("completions say that another policy went on with them, and switchedTo is not there")
        return self

    def leaves(self) -> list[bytes]:
        """A digest a completion, in order: what the Merkle root of a round's rollouts is made of."""
        return [
            digest(canonical_msgpack(self._leaf(group, completion)))
            for group in self.groups
            for completion in group.completions
        ]

    def _leaf(self, group: Group, completion: Completion) -> list[Any]:
        """One of a single policy is what it was before there were others."""
        one_policy = [
            self.swarm_id,
            self.node_id,
            self.round,
            self.model,
            group.task,
            group.item,
            group.prompt_tokens,
            completion.tokens,
            completion.logprobs,
            completion.reward,
            completion.truncated,
            completion.given,
        ]
        if completion.switched_at is None:
            return ["kubeswarm/rollout/2", *one_policy]
        return ["kubeswarm/rollout/3", *one_policy, completion.switched_at, self.switched_to]

    def root(self) -> bytes:
        """The Merkle root of the leaves: what is signed, and what the round's record binds."""
        return merkle.root(self.leaves())


class SignedBatch(Model):
    """A batch with the EIP-712 signature of its Node's key over (swarm, node, round, root)."""

    batch: RolloutBatch
    signature: bytes = Field(min_length=65, max_length=65)

    def encode(self) -> bytes:
        """The message on the wire. Raises InvalidBatch when it is over MAX_BATCH_BYTES."""
        data = canonical_msgpack({"batch": self.batch.model_dump(exclude_none=True), "signature": self.signature})
        if len(data) > MAX_BATCH_BYTES:
            raise InvalidBatch(
                "size",
                f"{len(data)} bytes, at most {MAX_BATCH_BYTES} can be sent: lower prompts or groupSize",
            )
        return data

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Reads a message from a stranger. Raises InvalidBatch (size, schema)."""
        if len(data) > MAX_BATCH_BYTES:
            raise InvalidBatch("size", f"{len(data)} bytes, at most {MAX_BATCH_BYTES}")
        try:
            return cls.model_validate(decode_msgpack(data, max_array=MAX_TOKENS))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise InvalidBatch("schema", f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        except ValueError as error:
            raise InvalidBatch("schema", f"not msgpack of a batch: {error}") from error
