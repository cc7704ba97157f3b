"""One status patch a pass, only on a difference; and Events for what changed, each told once."""

import logging
from collections import OrderedDict
from datetime import UTC, datetime

from kubeswarm_api.encoding import digest
from kubeswarm_api.names import FIELD_MANAGER
from kubeswarm_api.node import NodeStatus
from kubeswarm_api.swarm import SwarmStatus
from kubeswarm_operator.decide.announcements import Announcement, announcements
from kubeswarm_operator.kube import ApiError, Conflict, Kube, NotFound
from kubeswarm_operator.observe.store import Store
from kubeswarm_operator.resources import EVENTS, NODES, SWARMS, Object

log = logging.getLogger(__name__)
#: The same Event of an object is counted up in the API at most this often.
REPEAT_SECONDS = 300.0
_REMEMBERED = 4096
_MESSAGE = 1000


class Reporter:
    """Writes statuses and Events."""

    def __init__(self, kube: Kube, store: Store) -> None:
        self._kube = kube
        self._store = store
        self._told: OrderedDict[str, datetime] = OrderedDict()

    async def node(self, live: Object, before: NodeStatus, after: NodeStatus) -> bool:
        """A Node's status; returns whether it was written."""
        return await self._report(live, before, after)

    async def swarm(self, live: Object, before: SwarmStatus, after: SwarmStatus) -> bool:
        """A Swarm's status; returns whether it was written."""
        return await self._report(live, before, after)

    async def _report(self, live: Object, before: NodeStatus | SwarmStatus, after: NodeStatus | SwarmStatus) -> bool:
        if before == after:
            return False
        resource = NODES if isinstance(after, NodeStatus) else SWARMS
        wanted = after.to_json()
        dropped = dict.fromkeys(before.to_json().keys() - wanted.keys())
        meta = live["metadata"]
        try:
            patch = {"metadata": {"uid": meta["uid"]}, "status": {**wanted, **dropped}}
            answer = await self._kube.merge(resource, meta["namespace"], meta["name"], patch, "status")
        except (NotFound, Conflict):
            return False  # deleted, or made anew under the same name
        self._store.put(resource, answer)
        for announcement in announcements(before.conditions, after.conditions):
            await self.announce(live, announcement)
        return True

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
