"""One status patch a pass, only on a difference; and Events for what changed, each told once."""

import logging
import time
from collections import OrderedDict, defaultdict
from datetime import UTC, datetime

from kubeswarm_api.encoding import digest
from kubeswarm_api.names import FIELD_MANAGER
from kubeswarm_api.node import NodeStatus
from kubeswarm_api.swarm import SwarmStatus
from kubeswarm_operator.decide.announcements import Announcement, announcements
from kubeswarm_operator.decide.pressing import patience
from kubeswarm_operator.kube import ApiError, Conflict, Kube, NotFound
from kubeswarm_operator.observe.parsing import wrote_status
from kubeswarm_operator.observe.store import Key, Store
from kubeswarm_operator.resources import EVENTS, NODES, SWARMS, Object, Resource

log = logging.getLogger(__name__)
#: The same Event of an object is counted up in the API at most this often.
REPEAT_SECONDS = 300.0
#: Of statuses that may wait equally long no more than so many are written a second, but none waits longer than this.
PROGRESS_RATE, LONGEST_SECONDS = 5.0, 30.0
#: A status that met a conflict is tried again after so long.
CONFLICT_SECONDS = 1.0
_REMEMBERED = 4096
_MESSAGE = 1000

Waiter = tuple[Resource, Key]


class Reporter:
    """Writes statuses and Events."""

    def __init__(self, kube: Kube, store: Store) -> None:
        self._kube = kube
        self._store = store
        self._told: OrderedDict[str, datetime] = OrderedDict()
        self._waiting: dict[Waiter, float] = {}  # when a status that waits is to be written
        self._slots: defaultdict[float, float] = defaultdict(float)  # when the last of them is, by how long they wait

    async def report(
        self, live: Object, before: NodeStatus | SwarmStatus, after: NodeStatus | SwarmStatus
    ) -> float | None:
        """Writes a status that differs, or returns the seconds after which it is to be looked at again."""
        meta = live["metadata"]
        resource = NODES if isinstance(after, NodeStatus) else SWARMS
        waiter = (resource, (meta["namespace"], meta["name"]))
        if before == after:
            self._waiting.pop(waiter, None)
            return None
        again = self._wait(waiter, patience(before, after))
        if again is not None:
            return again
        self._waiting.pop(waiter, None)
        wanted = after.to_json()
        dropped = dict.fromkeys(before.to_json().keys() - wanted.keys())
        try:
            patch = {"metadata": {"uid": meta["uid"]}, "status": {**wanted, **dropped}}
            answer = await self._kube.merge(resource, meta["namespace"], meta["name"], patch, "status")
        except NotFound:
            return None  # deleted
        except Conflict:
            return CONFLICT_SECONDS  # made anew under the same name, which the store hears of; or others wrote too
        if self._store.put(resource, answer):
            wrote_status(answer, after)
        for announcement in announcements(before.conditions, after.conditions):
            await self.announce(live, announcement)
        return None

    def forget(self, resource: Resource, key: Key) -> None:
        """Drops what is remembered of an object that is gone."""
        self._waiting.pop((resource, key), None)

    def _wait(self, waiter: Waiter, seconds: float) -> float | None:
        """Seconds that a status should wait for yet, of the `seconds` that it may; None: it has waited long enough."""
        if not seconds:
            return None
        now = time.monotonic()
        due = self._waiting.get(waiter)
        if due is None:
            slot = self._slots[seconds] = max(now + seconds, self._slots[seconds] + 1 / PROGRESS_RATE)
            due = self._waiting[waiter] = min(slot, now + LONGEST_SECONDS)
        return due - now if due > now else None

    async def announce(self, live: Object, announcement: Announcement) -> None:
        """An Event. Failing to write one is logged and otherwise ignored: it holds nothing that status doesn't."""
        now = datetime.now(UTC)
        meta = live["metadata"]
        mark = "\0".join((meta["uid"], announcement.type, announcement.reason, announcement.message))
        name = f"{meta['name'][:200]}.{digest(mark.encode()).hex()[:16]}"
        last = self._told.get(name)
        if last is not None and (now - last).total_seconds() < REPEAT_SECONDS:
            return
        self._told[name] = now
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        try:
            await self._post(live, name, announcement, now.strftime("%Y-%m-%dT%H:%M:%SZ"))
        except ApiError as error:
            log.warning("an Event was not written", extra={"detail": str(error)[:300]})

    async def _post(self, live: Object, name: str, announcement: Announcement, now: str) -> None:
        meta = live["metadata"]
        event: Object = {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"namespace": meta["namespace"], "name": name},
            "involvedObject": {
                "apiVersion": live["apiVersion"],
                "kind": live["kind"],
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
            },
            "type": announcement.type,
            "reason": announcement.reason,
            "message": announcement.message[:_MESSAGE],
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self._kube.create(event)
        except Conflict:
            await self._kube.merge(EVENTS, meta["namespace"], name, {"lastTimestamp": now, "count": 2})
