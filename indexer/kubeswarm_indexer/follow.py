"""Follows the chain: block by block forward, and back to the common ancestor where it was reorganised."""

import logging
import threading
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from kubeswarm_api.records import Digest
from kubeswarm_api.run_log import Head
from kubeswarm_contracts.attestation import Attestation
from kubeswarm_contracts.chain import LOG_BLOCKS, Chain
from kubeswarm_contracts.errors import ChainError, ChainRejected
from kubeswarm_contracts.events import Event, Header, events, header, headers
from kubeswarm_indexer.store import WINDOW, Overtaken, Step, Store
from kubeswarm_indexer.telemetry import Telemetry

log = logging.getLogger(__name__)

#: Stored blocks that are compared with the chain's at a time, when an ancestor is looked for.
COMPARED = 100
#: Between attempts while something is wrong: doubling from the first to the last.
FIRST_RETRY_SECONDS = 1.0
LAST_RETRY_SECONDS = 30.0


class Moved(Exception):
    """The chain was reorganised while it was read: look again."""


class Follower:
    """Brings a store up to the chain's latest block. `run` belongs to one thread."""

    def __init__(self, chain: Chain, store: Store, telemetry: Telemetry) -> None:
        self._chain, self._store, self._telemetry = chain, store, telemetry
        self.latest: int | None = None  # the chain's latest block at the last look
        self.synced = threading.Event()  # the log was complete once

    def run(self, stop: threading.Event, poll_seconds: float) -> None:
        """Follows until `stop` is set. What goes wrong is told in the log and in metrics, and tried again."""
        retry = FIRST_RETRY_SECONDS
        while not stop.is_set():
            try:
                self.catch_up(stop.is_set)
                stop.wait(poll_seconds)
                retry = FIRST_RETRY_SECONDS
            except Moved:
                self._telemetry.failed("ChainMoved")
                stop.wait(FIRST_RETRY_SECONDS)
            except (ChainError, SQLAlchemyError) as error:
                self._telemetry.failed(type(error).__name__)
                log.warning("can't follow the chain now", extra={"cause": str(error)[:500], "retrySeconds": retry})
                stop.wait(retry)
                retry = min(2 * retry, LAST_RETRY_SECONDS)

    def catch_up(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Returns when the log is complete up to the latest block. Raises ChainError, SQLAlchemyError, Moved."""
        expected, found = self._chain.deployment.chain_id, self._chain.chain_id()
        if found != expected:
            raise ChainRejected("WrongChain", f"chain.url leads to chain {found} instead of {expected}")
        latest = header(self._chain, "latest")
        if latest is None:
            raise Moved
        self.latest = latest.number
        while not stopping():
            before = self._store.head()
            base = self._ancestor(before)
            self._telemetry.at(before, latest.number)
            if before is not None and base == before.number >= latest.number:
                break
            try:
                facts = self._store.append(before, self._step(base, latest))
            except Overtaken:
                log.info("another indexer writes to this database")
                continue
            if before is not None and base < before.number:
                self._telemetry.reorganised(before.number - base)
                log.warning("the chain was reorganised", extra={"from": before.number, "to": base})
            self._telemetry.brought(facts)
            after = self._store.head()
            self._telemetry.at(after, latest.number)
            if after is not None and after.number >= latest.number:
                break
        self.synced.set()

    def _ancestor(self, before: Head | None) -> int:
        """The highest block that store and chain have in common; the one before the first where there is none."""
        first = self._chain.deployment.block
        if before is None:
            return first - 1
        below, count = before.number + 1, 1  # the head alone first: most of the time it is still there
        while stored := self._store.hashes(below, count):
            theirs = headers(self._chain, [number for number, _ in stored])
            for (number, known), now in zip(stored, theirs, strict=True):
                if now is not None and now.hash == known:
                    return number
            below, count = stored[-1][0], COMPARED
        return first - 1

    def _step(self, base: int, latest: Header) -> Step:
        """The next blocks behind `base`. Raises Moved if they are not of one chain."""
        last = min(base + LOG_BLOCKS, latest.number)
        found = events(self._chain, base + 1, last)
        window = range(max(self._chain.deployment.block, last - WINDOW + 1), last + 1)
        kept = {number for number in self._store.known(window.start, last) if number <= base}
        wanted = {each.block for each in found} | set(window) - kept | set(range(base + 1, last + 1)[:1])
        read = {each.number: each for each in headers(self._chain, sorted(wanted)) if each is not None}
        if len(read) != len(wanted):
            raise Moved
        self._check(base, read, found)
        attestations = self._attestations(found)
        # A block's hash binds all that is before it: if the last one is still there, so is what was read.
        now = header(self._chain, last)
        if now is None or now != read.get(last, now) or (last == latest.number and now != latest):
            raise Moved
        return Step(base, now, list(read.values()), found, attestations)

    def _check(self, base: int, read: dict[int, Header], found: list[Event]) -> None:
        hashes = {number: each.hash for number, each in read.items()} | dict(self._store.hashes(base + 1, 1))
        if any(each.parent != hashes.get(number - 1, each.parent) for number, each in read.items()):
            raise Moved
        if any(each.block_hash != hashes[each.block] for each in found):
            raise Moved

    def _attestations(self, found: list[Event]) -> dict[Digest, Attestation]:
        uids = [each.arguments["uid"] for each in found if each.name == "RoundsAttested"]
        answers = self._chain.full_attestations(uids)
        if None in answers:
            raise Moved  # the block that made it has gone since
        return {each.uid: each for each in answers if each is not None}
