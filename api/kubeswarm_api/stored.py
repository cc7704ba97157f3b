"""A stored round: what its update consumed, in the order in which it was learnt, for replay and for people.

The file is a magic number and zlib over msgpack. Unlike on the wire floats keep all 64 bits: advantages come from
rewards, and a replay must reach the same weights bit for bit.
"""

import zlib
from typing import Any, Self, cast

import msgpack  # pyright: ignore[reportMissingTypeStubs]
from pydantic import Field, ValidationError

from kubeswarm_api.base import Model
from kubeswarm_api.encoding import decode_msgpack
from kubeswarm_api.errors import InvalidRecord
from kubeswarm_api.records import Address, Digest, RoundRecord
from kubeswarm_api.rollouts import MAX_TOKENS, Group, RolloutBatch
from kubeswarm_api.spec_training import TrainingSpec

MAGIC = b"KSROUND1"
SUFFIX = ".rollouts"
MAX_BYTES = 1 << 30


class StoredGroup(Model):
    """A group with its text, and who sampled it in which of its rounds.

    `components`: parts of each completion's reward, where they are known.
    """

    group: Group
    prompt: str
    answers: list[str] = Field(description="The completions as text.")
    components: list[dict[str, float]] = Field(default_factory=list[dict[str, float]])
    node_id: Address
    round: int


class StoredRound(Model):
    """One round of one Node."""

    record: RoundRecord
    training: TrainingSpec = Field(description="The spec that the round was trained with.")
    sampled_with: Digest = Field(description="Digest of the policy that sampled the own groups.")
    switched_to: Digest | None = Field(default=None, description="Of the policy that went on with them, if one did.")
    threads: int = Field(description="Of the learner: with another number sums are rounded in another order.")
    made_by: dict[str, str] = Field(description="Versions and device, to explain a replay that differs.")
    own: list[StoredGroup]
    foreign: list[StoredGroup] = Field(description="Groups of other Nodes that the update took.")

    def published(self) -> RolloutBatch:
        """This Node's own rollouts of the round, as they were published: their root is the record's."""
        return RolloutBatch(
            swarm_id=self.record.swarm_id,
            node_id=self.record.node_id,
            round=self.record.round,
            model=self.sampled_with,
            switched_to=self.switched_to,
            groups=[each.group for each in self.own],
        )

    def to_bytes(self) -> bytes:
        """The file's content."""
        plain = self.model_dump(mode="json", by_alias=True)
        return MAGIC + zlib.compress(cast(bytes, msgpack.packb(plain)))  # pyright: ignore[reportUnknownMemberType]

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises InvalidRecord if `data` is no stored round, or damaged."""
        if not data.startswith(MAGIC):
            raise InvalidRecord("not a stored round, or one of another version of KubeSwarm")
        try:
            return cls.model_validate(_unpacked(data[len(MAGIC) :]))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise InvalidRecord(f"stored round: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        except (zlib.error, ValueError) as error:
            raise InvalidRecord(f"stored round: damaged: {error}") from error


def file_name(round: int) -> str:
    """The name of a stored round's file in its folder."""
    return f"round-{round:08d}{SUFFIX}"


def _unpacked(data: bytes) -> Any:
    inflate = zlib.decompressobj()
    plain = inflate.decompress(data, MAX_BYTES)
    if not inflate.eof:
        raise ValueError(f"cut off, or over {MAX_BYTES} bytes")
    return decode_msgpack(plain, max_array=MAX_TOKENS)
