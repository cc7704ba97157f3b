"""What the API answers, read from the tables: rows in, models out."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Table, and_, func, select, true

from kubeswarm_api.base import Model
from kubeswarm_api.run_log import (
    Campaign,
    Membership,
    NodeChange,
    Page,
    Participant,
    Participating,
    Payment,
    Pool,
    Rounds,
    Run,
)
from kubeswarm_indexer import tables
from kubeswarm_indexer.store import head, last

M = TypeVar("M", bound=Model)
Row = Mapping[Any, Any]
#: Makes the items of one page; it may look up what belongs to them.
Make = Callable[[Connection, Row], M]
#: What a list is restricted to, by column; None: no restriction.
Filter = Mapping[str, Any]


def page(connection: Connection, table: Table, make: Make[M], after: str | None, limit: int, where: Filter) -> Page[M]:
    """A page of facts, in the chain's order, behind the cursor `after`."""
    query = select(table).where(_matches(table, where))
    if after is not None:
        query = query.where(table.c.position > int(after))
    rows = connection.execute(query.order_by(table.c.position).limit(limit + 1)).mappings().all()
    items = [make(connection, row) for row in rows[:limit]]
    next_ = str(rows[limit - 1]["position"]) if len(rows) > limit else None
    return Page(items=items, next=next_, head=head(connection))


def one(connection: Connection, table: Table, make: Make[M], **key: Any) -> M | None:
    """The last fact with these values; None where there is none."""
    row = last(connection, table, **key)
    return None if row is None else make(connection, row)


def participants(connection: Connection, swarm_id: str, after: str | None, limit: int) -> Page[Participant]:
    """A page of a run's Nodes, those that left included, by id."""
    table = tables.memberships
    newest = select(func.max(table.c.position)).where(table.c.swarm_id == swarm_id, table.c.node_id > (after or ""))
    query = select(table).where(table.c.position.in_(newest.group_by(table.c.node_id)))
    rows = connection.execute(query.order_by(table.c.node_id).limit(limit + 1)).mappings().all()
    items = [participant(connection, row) for row in rows[:limit]]
    return Page(items=items, next=items[-1].cursor if len(rows) > limit else None, head=head(connection))


def participant(connection: Connection, row: Row) -> Participant:
    """From a Node's last membership."""
    key = _named(row, "swarm_id", "node_id")
    attested = last(connection, tables.attestations, **key)
    return Participant(
        **key,
        cursor=row["node_id"],
        standing=row["standing"],
        reason=row["reason"],
        since=row["time"],
        rounds=attested["last_round"] if attested else 0,
        samples=str(attested["own_samples"]) if attested else "0",
        tokens=str(attested["own_tokens"]) if attested else "0",
        head=attested["head"] if attested else None,
        model=attested["model"] if attested else None,
    )


def run(connection: Connection, row: Row) -> Run:
    """With what its Nodes have attested."""
    members = last(connection, tables.memberships, swarm_id=row["swarm_id"])
    attested = last(connection, tables.attestations, swarm_id=row["swarm_id"])
    return Run(
        **_item(row),
        **_named(row, "swarm_id", "owner", "policy", "config", "uri"),
        members=members["members"] if members else 0,
        rounds=attested["run_rounds"] if attested else 0,
        samples=str(attested["run_samples"]) if attested else "0",
        tokens=str(attested["run_tokens"]) if attested else "0",
    )


def membership(_: Connection, row: Row) -> Membership:
    """One row."""
    return Membership(**_item(row), **_named(row, "swarm_id", "node_id", "standing", "reason", "members"))


def rounds(_: Connection, row: Row) -> Rounds:
    """One row."""
    same = ("uid", "swarm_id", "node_id", "first_round", "last_round", "records_root", "previous", "head", "model")
    return Rounds(**_item(row), **_named(row, *same, "attester"), **_digits(row, "samples", "tokens", "reward"))


def node(connection: Connection, row: Row) -> Participating:
    """With its owner and key as they are now."""

    def now(change: str) -> str | None:
        found = last(connection, tables.node_changes, node_id=row["node_id"], change=change)
        return None if found is None else found["value"]

    uri, attested = now("uri"), last(connection, tables.attestations, node_id=row["node_id"])
    return Participating(
        **_item(row),
        node_id=row["node_id"],
        owner=now("owner") or "",
        key=now("key") or None,
        uri=row["uri"] if uri is None else uri,
        rounds=attested["node_rounds"] if attested else 0,
    )


def node_change(_: Connection, row: Row) -> NodeChange:
    """One row."""
    return NodeChange(**_item(row), **_named(row, "node_id", "change", "name", "value"))


def pool(connection: Connection, row: Row) -> Pool:
    """With what it can still pay."""
    paid = last(connection, tables.payments, contract="Treasury", fund=row["pool_id"])
    return Pool(
        **_item(row),
        **_named(row, "pool_id", "swarm_id", "owner", "token", "unit", "window", "verifier"),
        **_digits(row, "rate"),
        escrow=str(paid["balance"]) if paid else "0",
        stopped=bool(paid and paid["ended"]),
    )


def campaign(connection: Connection, row: Row) -> Campaign:
    """With how far it is."""
    paid = last(connection, tables.payments, contract="Crowdfunding", fund=row["campaign_id"])
    same = ("campaign_id", "swarm_id", "creator", "token", "beneficiary", "evaluator", "deadline", "end")
    return Campaign(
        **_item(row),
        **_named(row, *same),
        **_digits(row, "goal"),
        milestones=json.loads(row["milestones"]),
        reached=paid["reached"] if paid else 0,
        cancelled=bool(paid and paid["ended"]),
        raised=str(paid["raised"]) if paid else "0",
        unspent=str(paid["balance"]) if paid else "0",
    )


def payment(_: Connection, row: Row) -> Payment:
    """One row."""
    same = ("kind", "fund", "swarm_id", "node_id", "uid", "account", "token")
    value = None if row["value"] is None else str(row["value"])
    return Payment(**_item(row), **_named(row, *same), **_digits(row, "amount", "balance"), value=value)


def owned_by(owner: str) -> ColumnElement[bool]:
    """Whether a Node's last owner is this account."""
    changes, newer = tables.node_changes, tables.node_changes.alias()
    later = select(newer.c.position).where(
        newer.c.node_id == changes.c.node_id, newer.c.change == "owner", newer.c.position > changes.c.position
    )
    owned = select(changes.c.node_id).where(changes.c.change == "owner", changes.c.value == owner, ~later.exists())
    return tables.nodes.c.node_id.in_(owned)


def _matches(table: Table, where: Filter) -> ColumnElement[bool]:
    tests: list[ColumnElement[bool]] = []
    for name, value in where.items():
        if value is not None:
            tests.append(value if isinstance(value, ColumnElement) else table.c[name] == value)
    return and_(true(), *tests)


def holds_round(number: int) -> ColumnElement[bool]:
    """Whether an attestation holds this round."""
    table = tables.attestations
    return and_(table.c.first_round <= number, table.c.last_round >= number)


def _item(row: Row) -> dict[str, Any]:
    place = row["position"]
    return {"cursor": str(place), "block": tables.block_of(place), "time": row["time"], "tx": row["tx"]}


def _named(row: Row, *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _digits(row: Row, *names: str) -> dict[str, Any]:
    return {name: str(row[name]) for name in names}
