"""The database: opened, read at one block, written in one transaction a step, dumped in canonical form."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Table, and_, create_engine, delete, event, insert, select, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from kubeswarm_api.encoding import canonical_json, digest, to_hex
from kubeswarm_api.errors import InvalidConfig
from kubeswarm_api.records import NO_DIGEST, Digest
from kubeswarm_api.run_log import Head
from kubeswarm_contracts.attestation import Attestation
from kubeswarm_contracts.deployments import Deployment
from kubeswarm_contracts.events import Event, Header
from kubeswarm_indexer import facts, tables

#: Headers kept of the latest blocks. A reorganisation that is deeper goes back to the last block with a fact.
WINDOW = 256
BUSY_SECONDS = 30
_WRITING = {"kubeswarm_writing": True}


class Overtaken(Exception):
    """Another process has written since: look again."""


@dataclass(frozen=True)
class Step:
    """What one step reads of the chain: the blocks behind `base`, up to `head`.

    `headers`: of all blocks with events, and of those of the last WINDOW blocks up to `head` that the store lacks.
    """

    base: int
    head: Header
    headers: Sequence[Header]
    events: Sequence[Event]
    attestations: Mapping[Digest, Attestation]


class Store:
    """The log of one chain. Threads may share it."""

    def __init__(self, url: str, deployment: Deployment) -> None:
        """Opens the database, and empties one of another chain, of other contracts or of another version.

        `url`: as SQLAlchemy takes it, sqlite:///PATH or postgresql://…. Raises InvalidConfig.
        """
        source = {"version": tables.VERSION, "deployment": deployment.to_json()}
        self._source = to_hex(digest(canonical_json(source)))
        self._start = deployment.block - 1
        self._engine = _engine(url)
        try:
            self._prepare()
        except SQLAlchemyError as error:
            cause = str(error.__cause__ or error).splitlines()[0]
            raise InvalidConfig(f"database.url: {self._engine.url!r} can't be used: {cause}") from error

    def _prepare(self) -> None:
        with self._write() as connection:
            tables.metadata.create_all(connection)
            found = connection.execute(select(tables.state)).mappings().first()
            if found is None or found["source"] != self._source:
                tables.metadata.drop_all(connection)
                tables.metadata.create_all(connection)
                row = {"id": 0, "source": self._source, "head": self._start, "head_hash": NO_DIGEST, "head_time": 0}
                connection.execute(insert(tables.state).values(row))

    def close(self) -> None:
        """Ends all connections."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection whose reads all see one state. Raises SQLAlchemyError."""
        with self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._engine.connect().execution_options(**_WRITING) as connection, connection.begin():
            yield connection

    def head(self) -> Head | None:
        """The block up to which the log is complete; None before the first."""
        with self.read() as connection:
            return head(connection)

    def known(self, first: int, last: int) -> set[int]:
        """Those of the blocks `first` to `last` whose headers are here."""
        number = tables.blocks.c.number
        with self.read() as connection:
            return set(connection.execute(select(number).where(number.between(first, last))).scalars())

    def hashes(self, below: int, count: int) -> list[tuple[int, Digest]]:
        """Blocks below a number, the highest first: (number, hash)."""
        query = select(tables.blocks.c.number, tables.blocks.c.hash).where(tables.blocks.c.number < below)
        with self.read() as connection:
            rows = connection.execute(query.order_by(tables.blocks.c.number.desc()).limit(count)).all()
        return [(number, found) for number, found in rows]

    def append(self, before: Head | None, step: Step) -> int:
        """Takes a step from the state `before`, after going back to its base; returns how many facts it brought.

        All or nothing. Raises Overtaken if the state is another by now.
        """
        with self._write() as connection:
            self._advance(connection, before, step.head)
            self._back(connection, step.base)
            times = {each.number: each for each in step.headers}
            book, count = _Book(connection), {}
            for each in step.events:
                made = facts.fact(each, step.attestations, book)
                if made is not None:
                    place = {"position": tables.position(each.block, each.index), "tx": each.tx_hash}
                    row = place | {"time": times[each.block].time} | made.row
                    connection.execute(insert(made.table).values(_columns(made.table, row)))
                    count[each.block] = count.get(each.block, 0) + 1
            blocks = tables.blocks
            rows = [{"number": n, "hash": h.hash, "facts": count.get(n, 0)} for n, h in times.items()]
            if rows:
                connection.execute(insert(blocks), rows)
            old = and_(blocks.c.number <= step.head.number - WINDOW, blocks.c.facts == 0)
            connection.execute(delete(blocks).where(old))
            return sum(count.values())

    def _advance(self, connection: Connection, before: Head | None, after: Header) -> None:
        """Moves the head, if nobody has: on PostgreSQL a second writer waits here for the first."""
        state = tables.state
        was = and_(
            state.c.source == self._source,
            state.c.head == (before.number if before else self._start),
            state.c.head_hash == (before.hash if before else NO_DIGEST),
        )
        row = {"head": after.number, "head_hash": after.hash, "head_time": after.time}
        if connection.execute(update(state).where(was).values(row)).rowcount != 1:
            raise Overtaken

    def _back(self, connection: Connection, base: int) -> None:
        for table in tables.FACTS:
            connection.execute(delete(table).where(table.c.position >= tables.position(base + 1, 0)))
        connection.execute(delete(tables.blocks).where(tables.blocks.c.number > base))

    def dump(self) -> Iterator[bytes]:
        """Every row of every table as a line of canonical JSON, in order: equal logs have equal bytes."""
        with self.read() as connection:
            for table in tables.metadata.sorted_tables:
                for row in connection.execute(select(table).order_by(*table.primary_key)).mappings():
                    yield canonical_json({"table": table.name, **{name: _plain(row[name]) for name in row}}) + b"\n"

    def digest(self) -> Digest:
        """SHA-256 of the dump."""
        made = hashlib.sha256()
        for line in self.dump():
            made.update(line)
        return to_hex(made.digest())


def head(connection: Connection) -> Head | None:
    """The block up to which the log is complete; None before the first."""
    row = connection.execute(select(tables.state)).mappings().one()
    if row["head_hash"] == NO_DIGEST:
        return None
    return Head(number=row["head"], hash=row["head_hash"], time=row["head_time"])


class _Book:
    """facts.Book, in a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def last(self, table: Table, **key: Any) -> facts.Row | None:
        return last(self._connection, table, **key)


def last(connection: Connection, table: Table, **key: Any) -> facts.Row | None:
    """The last row with these values; None where there is none."""
    query = select(table).where(*(table.c[name] == value for name, value in key.items()))
    row = connection.execute(query.order_by(table.c.position.desc()).limit(1)).mappings().first()
    return None if row is None else {name: row[name] for name in row}


def _columns(table: Table, row: facts.Row) -> facts.Row:
    return {name: value for name, value in row.items() if name in table.c}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, int) and abs(value) >= 2**53 else value


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InvalidConfig("database.url must be sqlite:///PATH or postgresql://USER@HOST/DATABASE") from error
    if parsed.get_backend_name() == "postgresql":
        return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise InvalidConfig("database.url must be sqlite:///PATH or postgresql://USER@HOST/DATABASE")
    engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})
    event.listen(engine, "connect", _open_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _open_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # the driver would begin transactions by rules of its own
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get("kubeswarm_writing")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
