"""Round records: their bytes, their chain, and what is refused."""

import pytest

from kubeswarm_api.encoding import to_hex
from kubeswarm_api.errors import InvalidRecord
from kubeswarm_api.records import NO_DIGEST, RoundRecord, check_chain


def record(round_number: int = 1, previous: str = NO_DIGEST, **changes: object) -> RoundRecord:
    """A valid record."""
    fields: dict[str, object] = {
        "chain_id": 31337,
        "registry": "0x" + "11" * 20,
        "swarm_id": "0x" + "22" * 32,
        "node_id": "0x" + "33" * 20,
        "round": round_number,
        "previous": previous,
        "config": "0x" + "44" * 32,
        "model_before": "0x" + "55" * 32,
        "model_after": "0x" + "66" * 32,
        "rollouts_root": "0x" + "77" * 32,
        "samples": 96,
        "reward": -250_000,
        "tokens": 1234,
    }
    return RoundRecord.model_validate({**fields, **changes})


def chain(length: int) -> list[RoundRecord]:
    """`length` consecutive records."""
    records = [record()]
    while len(records) < length:
        records.append(record(len(records) + 1, to_hex(records[-1].digest())))
    return records


def test_the_encoding_is_thirteen_words() -> None:
    encoded = record().encode()
    assert len(encoded) == 13 * 32
    assert int.from_bytes(encoded[:32], "big") == 31337
    assert encoded[32:64] == bytes(12) + b"\x11" * 20
    assert encoded[11 * 32 : 12 * 32] == (-250_000).to_bytes(32, "big", signed=True)


def test_records_survive_the_spool_format() -> None:
    assert RoundRecord.from_bytes(record().to_bytes()) == record()
    with pytest.raises(InvalidRecord):
        RoundRecord.from_bytes(b"{}")


@pytest.mark.parametrize("field", list(RoundRecord.model_fields))
def test_each_field_changes_the_digest(field: str) -> None:
    value = getattr(record(), field)
    other = value + 1 if isinstance(value, int) else value[:-1] + ("0" if value[-1] != "0" else "1")
    assert record().model_copy(update={field: other}).digest() != record().digest()


def test_consecutive_rounds_are_a_chain() -> None:
    check_chain(chain(5))
    check_chain(chain(5)[2:], to_hex(chain(5)[1].digest()))


def test_a_gap_a_fork_and_a_false_start_are_not() -> None:
    records = chain(4)
    with pytest.raises(InvalidRecord, match="round 4 follows round 2"):
        check_chain([records[0], records[1], records[3]])
    with pytest.raises(InvalidRecord, match="does not name the digest of round 1"):
        check_chain([records[0], record(2, "0x" + "99" * 32)])
    with pytest.raises(InvalidRecord, match="another swarm or node"):
        check_chain([records[0], record(2, to_hex(records[0].digest()), node_id="0x" + "34" * 20)])
    with pytest.raises(InvalidRecord, match="zero digest"):
        check_chain([record(1, "0x" + "99" * 32)])
    with pytest.raises(InvalidRecord, match="round before"):
        check_chain(records[1:], "0x" + "99" * 32)
