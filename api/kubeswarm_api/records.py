"""The round record: what a Node says of one finished round, in the bytes that Solidity's abi.encode gives."""

import itertools
from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, StringConstraints

from kubeswarm_api import merkle
from kubeswarm_api.base import Model
from kubeswarm_api.encoding import ZERO_DIGEST, canonical_json, digest, from_hex, to_hex
from kubeswarm_api.errors import InvalidRecord

Digest = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-f]{64}$")]
Address = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-f]{40}$")]

#: Rewards travel as integers: the mean reward times this.
REWARD_SCALE = 1_000_000
NO_DIGEST: Digest = to_hex(ZERO_DIGEST)


class RoundRecord(Model):
    """One round of one Node. Rounds count from 1; `previous` is the digest of the record before, zero at first."""

    chain_id: int = Field(ge=1, lt=2**64)
    registry: Address
    swarm_id: Digest
    node_id: Address
    round: int = Field(ge=1, lt=2**63)
    previous: Digest
    config: Digest
    model_before: Digest
    model_after: Digest
    rollouts_root: Digest
    samples: int = Field(ge=0, lt=2**63)
    reward: int = Field(ge=-(2**63), lt=2**63, description="Mean reward times 1,000,000.")
    tokens: int = Field(ge=0, lt=2**63)

    def encode(self) -> bytes:
        """abi.encode of the struct: 13 words of 32 bytes."""

        def word(value: int) -> bytes:
            return value.to_bytes(32, "big", signed=value < 0)

        def padded(address: str) -> bytes:
            return from_hex(address, 20).rjust(32, b"\0")

        return b"".join(
            [
                word(self.chain_id),
                padded(self.registry),
                from_hex(self.swarm_id),
                padded(self.node_id),
                word(self.round),
                from_hex(self.previous),
                from_hex(self.config),
                from_hex(self.model_before),
                from_hex(self.model_after),
                from_hex(self.rollouts_root),
                word(self.samples),
                word(self.reward),
                word(self.tokens),
            ]
        )

    def digest(self) -> bytes:
        """SHA-256 of the encoding: the leaf of this record in an attestation's tree."""
        return digest(self.encode())

    def to_bytes(self) -> bytes:
        """The file format of the spool: canonical JSON."""
        return canonical_json(self.to_json())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises InvalidRecord if `data` is not a record."""
        try:
            return cls.model_validate_json(data)
        except ValueError as error:
            raise InvalidRecord(f"not a round record: {error}") from error


def check_chain(records: Sequence[RoundRecord], previous: Digest | None = None) -> None:
    """Checks that `records` are consecutive rounds of one Node in one Swarm, each naming the one before.

    `previous`: the digest that the first must name; None where it is not known. Raises InvalidRecord.
    """
    for before, record in itertools.pairwise(records):
        if record.round != before.round + 1:
            raise InvalidRecord(f"round {record.round} follows round {before.round}")
        if (record.swarm_id, record.node_id) != (before.swarm_id, before.node_id):
            raise InvalidRecord(f"round {record.round} belongs to another swarm or node than round {before.round}")
        if record.previous != to_hex(before.digest()):
            raise InvalidRecord(f"round {record.round} does not name the digest of round {before.round}")
    if records and previous is not None and records[0].previous != previous:
        raise InvalidRecord(f"round {records[0].round} does not name the digest of the round before")
    if records and records[0].round == 1 and records[0].previous != NO_DIGEST:
        raise InvalidRecord("round 1 must name the zero digest as the one before")


def records_root(records: Sequence[RoundRecord]) -> bytes:
    """The Merkle root that an attestation of these rounds carries."""
    return merkle.root([record.digest() for record in records])
