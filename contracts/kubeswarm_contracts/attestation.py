"""What an attestation of rounds says: the fields of our EAS schema."""

from collections.abc import Sequence
from typing import Any, Self

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak
from pydantic import Field

from kubeswarm_api.base import Model
from kubeswarm_api.encoding import from_hex, to_hex
from kubeswarm_api.errors import InvalidRecord
from kubeswarm_api.records import Address, Digest, RoundRecord, check_chain, records_root

#: As RoundResolver.MAX_ROUNDS.
MAX_ROUNDS = 1024
#: How many attestations alike one block may hold: each has another number in what its uid is the hash of.
_BUMPS = 1024

_TYPES = (
    *("bytes32", "uint256", "uint64", "uint64", "bytes32"),  # swarm_id to records_root
    *("bytes32", "bytes32", "bytes32", "uint64", "uint64", "int64"),  # previous to reward
)


class AttestationData(Model):
    """Consecutive rounds of one Node in one swarm.

    `records_root`: Merkle root of their records' digests. `previous`: digest of the record before the first of them,
    zero for round 1. `head`: digest of the last record. `model`: digest of the model after the last round.
    `samples`, `tokens`: sums. `reward`: mean over the rounds x 1,000,000, rounded down.
    """

    swarm_id: Digest
    node_id: Address
    first_round: int = Field(ge=1, lt=2**64)
    last_round: int = Field(ge=1, lt=2**64)
    records_root: Digest
    previous: Digest
    head: Digest
    model: Digest
    samples: int = Field(ge=0, lt=2**64)
    tokens: int = Field(ge=0, lt=2**64)
    reward: int = Field(ge=-(2**63), lt=2**63)

    @classmethod
    def of(cls, records: Sequence[RoundRecord]) -> Self:
        """The attestation of these records. Raises InvalidRecord if they are none, too many, or do not form a chain."""
        if not 1 <= len(records) <= MAX_ROUNDS:
            raise InvalidRecord(f"an attestation holds 1 to {MAX_ROUNDS} rounds, got {len(records)}")
        check_chain(records)
        last = records[-1]
        return cls(
            swarm_id=last.swarm_id,
            node_id=last.node_id,
            first_round=records[0].round,
            last_round=last.round,
            records_root=to_hex(records_root(records)),
            previous=records[0].previous,
            head=to_hex(last.digest()),
            model=last.model_after,
            samples=sum(record.samples for record in records),
            tokens=sum(record.tokens for record in records),
            reward=sum(record.reward for record in records) // len(records),
        )

    def encode(self) -> bytes:
        """The attestation's data on chain: 11 words."""
        values = (
            from_hex(self.swarm_id),
            int(self.node_id, 16),
            self.first_round,
            self.last_round,
            from_hex(self.records_root),
            from_hex(self.previous),
            from_hex(self.head),
            from_hex(self.model),
            self.samples,
            self.tokens,
            self.reward,
        )
        return encode(_TYPES, values)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The fields of an attestation's data. Raises eth_abi's DecodingError or pydantic's ValidationError."""
        values = decode(_TYPES, data)
        fields = [to_hex(value) if isinstance(value, bytes) else value for value in values]
        fields[1] = f"0x{values[1]:040x}"
        return cls.model_validate(dict(zip(cls.model_fields, fields, strict=True)))


class Batch(Model):
    """An attestation as the resolver remembers it: what proofs and payments have to name. `time`: Unix seconds."""

    data: AttestationData
    time: int = Field(ge=0, lt=2**64)

    def arguments(self) -> tuple[int | bytes, ...]:
        """RoundResolver.Batch."""
        data = self.data
        return (
            data.first_round,
            data.last_round,
            data.tokens,
            self.time,
            from_hex(data.previous),
            from_hex(data.head),
        )


class Attestation(Model):
    """An attestation of rounds as EAS has it; ours never expire and are never revoked. `time`: Unix seconds."""

    uid: Digest
    schema_uid: Digest
    attester: Address
    recipient: Address
    ref_uid: Digest
    time: int = Field(ge=0, lt=2**64)
    data: AttestationData

    @classmethod
    def of(cls, found: Sequence[Any]) -> Self:
        """The values of EAS's struct. Raises eth_abi's DecodingError or pydantic's ValidationError."""
        uid, schema, time, _, _, ref_uid, recipient, attester, _, data = found
        return cls(
            uid=to_hex(uid),
            schema_uid=to_hex(schema),
            attester=attester,
            recipient=recipient,
            ref_uid=to_hex(ref_uid),
            time=time,
            data=AttestationData.decode(data),
        )

    def batch(self) -> Batch:
        """What the resolver remembers of it."""
        return Batch(data=self.data, time=self.time)

    def is_whole(self) -> bool:
        """Whether the uid is the hash of the rest: then nothing here can have been changed without changing it.

        As EAS._getUID: keccak256 over schema, recipient, attester, time, expiration, revocable, reference, data and a
        number that tells apart what one block holds twice.
        """
        fixed = (
            from_hex(self.schema_uid)
            + from_hex(self.recipient, 20)
            + from_hex(self.attester, 20)
            + self.time.to_bytes(8, "big")
            + bytes(8)  # never expires
            + b"\0"  # not revocable
            + from_hex(self.ref_uid)
            + self.data.encode()
        )
        return any(to_hex(keccak(fixed + bump.to_bytes(4, "big"))) == self.uid for bump in range(_BUMPS))
