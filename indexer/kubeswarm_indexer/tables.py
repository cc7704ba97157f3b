"""The tables. Every fact is one row of one event and never changes; what holds now is the last row of a kind.

So going back in the chain is a deletion, and whatever was read in whatever steps, the same blocks leave the same rows.
Where a sum is wanted (members, tokens, escrow) each row has it as it was after its event, as a bank's book does.
"""

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text
from sqlalchemy.types import TypeDecorator

#: Changes with the tables and with what is put into them: a database of another version is made anew.
VERSION = 1
#: Bits of a position that number the logs of a block.
LOG_BITS = 24

metadata = MetaData()


class Whole(TypeDecorator[int]):
    """A number of any size, as decimal digits."""

    impl = String(79)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Any) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Any) -> int | None:
        return None if value is None else int(value)


def position(block: int, index: int) -> int:
    """Where an event stands among all events."""
    return (block << LOG_BITS) | index


def block_of(position: int) -> int:
    """The block of an event."""
    return position >> LOG_BITS


def _digest(name: str, **more: Any) -> Column[str]:
    return Column(name, String(66), **more)


def _address(name: str, **more: Any) -> Column[str]:
    return Column(name, String(42), **more)


def _fact(name: str, *columns: Column[Any], keys: tuple[tuple[str, ...], ...] = ()) -> Table:
    """A table of facts. `keys`: columns by which rows are looked up, each in the chain's order."""
    return Table(
        name,
        metadata,
        Column("position", BigInteger, primary_key=True, autoincrement=False),
        Column("time", BigInteger, nullable=False),
        _digest("tx", nullable=False),
        *columns,
        *(Index(f"{name}_by_{'_'.join(key)}", *key, "position") for key in keys),
    )


#: One row: which chain and contracts the rest is of, and the block up to which it is complete.
state = Table(
    "state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    _digest("source", nullable=False),
    Column("head", BigInteger, nullable=False),
    _digest("head_hash", nullable=False),
    Column("head_time", BigInteger, nullable=False),
)
#: Those that hold a fact, and the latest: by them a reorganisation is seen, and where it began.
blocks = Table(
    "blocks",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    _digest("hash", nullable=False),
    Column("facts", Integer, nullable=False),
)
swarms = _fact(
    "swarms",
    _digest("swarm_id", unique=True, nullable=False),
    _address("owner", nullable=False),
    Column("policy", String(16), nullable=False),
    _digest("config", nullable=False),
    Column("uri", Text, nullable=False),
    keys=(("owner",),),
)
memberships = _fact(
    "memberships",
    _digest("swarm_id", nullable=False),
    _address("node_id", nullable=False),
    Column("standing", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("members", BigInteger, nullable=False),
    keys=(("swarm_id",), ("swarm_id", "node_id"), ("node_id",)),
)
nodes = _fact(
    "nodes",
    _address("node_id", unique=True, nullable=False),
    Column("uri", Text, nullable=False),
)
node_changes = _fact(
    "node_changes",
    _address("node_id", nullable=False),
    Column("change", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("value", Text, nullable=False),
    keys=(("node_id",), ("node_id", "change")),
)
attestations = _fact(
    "attestations",
    _digest("uid", unique=True, nullable=False),
    _digest("swarm_id", nullable=False),
    _address("node_id", nullable=False),
    Column("first_round", BigInteger, nullable=False),
    Column("last_round", BigInteger, nullable=False),
    _digest("records_root", nullable=False),
    _digest("previous", nullable=False),
    _digest("head", nullable=False),
    _digest("model", nullable=False),
    Column("samples", Whole, nullable=False),
    Column("tokens", Whole, nullable=False),
    Column("reward", Whole, nullable=False),
    _address("attester", nullable=False),
    # of this Node in this run, of all Nodes in it, of this Node in all runs; after this attestation
    Column("own_samples", Whole, nullable=False),
    Column("own_tokens", Whole, nullable=False),
    Column("run_rounds", BigInteger, nullable=False),
    Column("run_samples", Whole, nullable=False),
    Column("run_tokens", Whole, nullable=False),
    Column("node_rounds", BigInteger, nullable=False),
    keys=(("swarm_id",), ("node_id",), ("swarm_id", "node_id"), ("model",)),
)
pools = _fact(
    "pools",
    _digest("pool_id", unique=True, nullable=False),
    _digest("swarm_id", nullable=False),
    _address("owner", nullable=False),
    _address("token", nullable=False),
    Column("unit", String(16), nullable=False),
    Column("rate", Whole, nullable=False),
    Column("window", BigInteger, nullable=False),
    _address("verifier", nullable=False),
    keys=(("swarm_id",),),
)
campaigns = _fact(
    "campaigns",
    _digest("campaign_id", unique=True, nullable=False),
    _digest("swarm_id", nullable=False),
    _address("creator", nullable=False),
    _address("token", nullable=False),
    _address("beneficiary", nullable=False),
    _address("evaluator", nullable=False),
    Column("goal", Whole, nullable=False),
    Column("deadline", BigInteger, nullable=False),
    Column("end", BigInteger, nullable=False),
    Column("milestones", Text, nullable=False),
    keys=(("swarm_id",),),
)
payments = _fact(
    "payments",
    # A pool and a campaign of one owner may have the same id.
    Column("contract", String(16), nullable=False),
    Column("kind", String(24), nullable=False),
    _digest("fund"),
    _digest("swarm_id"),
    _address("node_id"),
    _digest("uid"),
    _address("account"),
    _address("token", nullable=False),
    Column("amount", Whole, nullable=False),
    Column("value", Whole),
    Column("balance", Whole, nullable=False),
    # of a campaign: what was raised, and milestones reached; 0 elsewhere
    Column("raised", Whole, nullable=False),
    Column("reached", Integer, nullable=False),
    Column("ended", Integer, nullable=False),
    keys=(("fund",), ("swarm_id",), ("node_id",), ("account",), ("kind",)),
)

FACTS: tuple[Table, ...] = (
    *(swarms, memberships, nodes, node_changes, attestations),
    *(pools, campaigns, payments),
)
