"""One status patch a pass, only on a difference; and Events for what changed, each told once."""

import logging
import time
from collections import OrderedDict
from datetime import UTC, datetime

from kubeswarm_api.encoding import digest
from kubeswarm_api.names import FIELD_MANAGER
from kubeswarm_api.node import NodeStatus
from kubeswarm_api.swarm import SwarmStatus
from kubeswarm_operator.decide.announcements import Announcement, announcements
from kubeswarm_operator.decide.pressing import pace
from kubeswarm_operator.kube import ApiError, Conflict, Kube, NotFound
from kubeswarm_operator.observe.parsing import wrote_status
from kubeswarm_operator.observe.store import Key, Store
from kubeswarm_operator.resources import EVENTS, NODES, SWARMS, Object, Resource
from kubeswarm_operator.waiting import Waiting

log = logging.getLogger(__name__)
#: The same Event of an object is counted up in the API at most this often.
REPEAT_SECONDS = 300.0
#: A status that met a conflict is tried again after so long.
CONFLICT_SECONDS = 1.0
_REMEMBERED = 4096
_MESSAGE = 1000


class Reporter:
    """Writes statuses and Events."""

    def __init__(self, kube: Kube, store: Store) -> None:
        self._kube = kube
        self._store = store
        self._told: OrderedDict[str, datetime] = OrderedDict()
        self._waiting = Waiting()

    async def report(
        self, live: Object, before: NodeStatus | SwarmStatus, after: NodeStatus | SwarmStatus
    ) -> float | None:
        """Writes a status that differs, or returns the seconds after which it is to be looked at again."""
        meta = live["metadata"]
        resource = NODES if isinstance(after, NodeStatus) else SWARMS
        waiter = (resource, (meta["namespace"], meta["name"]))
        if before == after:
            self._waiting.end(waiter)
            return None
        slow = pace(before, after)
        if slow and (left := self._waiting.left(waiter, slow, time.monotonic())):
            return left
        self._waiting.end(waiter)
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
        self._waiting.end((resource, key))

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
