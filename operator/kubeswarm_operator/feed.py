"""From watch events to keys: each object goes into the store, and whoever it belongs to gets a pass."""

import asyncio
import logging
from collections.abc import Iterable

from kubeswarm_api.names import FIELD_MANAGER, MANAGED_BY_LABEL, NODE_LABEL, SWARM_LABEL
from kubeswarm_operator import telemetry
from kubeswarm_operator.observe.snapshot import ChainFacts
from kubeswarm_operator.observe.store import Key, Store, key_of
from kubeswarm_operator.queue import WorkQueue
from kubeswarm_operator.resources import NODES, SWARMS, WATCHED, Object, Resource

log = logging.getLogger(__name__)
SELECTOR = f"{MANAGED_BY_LABEL}={FIELD_MANAGER}"


class Feed:
    """Enqueues passes. `complete` is set once every watched resource was listed in every namespace."""

    def __init__(self, store: Store, swarms: WorkQueue[Key], nodes: WorkQueue[Key], namespaces: list[str]) -> None:
        self._store = store
        self._swarms = swarms
        self._nodes = nodes
        self._places = {
            resource.path(namespace): (resource, namespace)
            for resource in WATCHED
            for namespace in namespaces or [None]
        }
        self._listings: dict[str, set[str]] = {}  # the uids that each listing under way has shown so far, by its path
        self._unlisted = set(self._places)
        self.complete = asyncio.Event()

    def node_changed(self, key: Key) -> None:
        """Something outside the cluster's objects has changed for a Node."""
        self._nodes.add(key)

    def all_changed(self) -> None:
        """Something has changed that any pass may depend on."""
        for resource, queue in ((SWARMS, self._swarms), (NODES, self._nodes)):
            for body in self._store.all(resource):
                queue.add(key_of(body))

    def chain_changed(self, before: ChainFacts, after: ChainFacts) -> None:
        """Passes for whom the chain says something new."""
        everywhere = ("configured", "owner", "reachable", "reason", "message")
        if any(getattr(before, name) != getattr(after, name) for name in everywhere):
            self.all_changed()
            return
        swarms = set(before.members.items()) ^ set(after.members.items())
        nodes = set(before.attested.items()) ^ set(after.attested.items())
        changed_swarms = {swarm for swarm, _ in swarms}
        changed_nodes = {node for (_, node), _ in nodes}
        for body in self._store.all(SWARMS):
            if (body.get("status") or {}).get("swarmId") in changed_swarms:
                self._swarms.add(key_of(body))
        for body in self._store.all(NODES):
            if (body.get("status") or {}).get("nodeId") in changed_nodes:
                self._nodes.add(key_of(body))

    def lost(self, plural: str, path: str) -> None:
        """A watch could not begin."""
        self._store.interrupted(plural, path)

    def takes(self, path: str) -> bool:
        """Whether it is watched."""
        return path in self._places

    def listed(self, path: str, items: Iterable[Object], version: str, begins: bool, ends: bool) -> None:
        """Takes in a part of a listing, and after its last one forgets what it did not show.

        `version`: the resourceVersion of the whole listing.
        """
        resource, namespace = self._places[path]
        if begins:
            self._listings[path] = set()
            self._store.interrupted(resource.plural, path)  # until the watch begins that tells what came after it
        shown = self._listings[path]
        for item in items:
            shown.add(item["metadata"]["uid"])
            self._seen(resource, {**item, "apiVersion": resource.api_version, "kind": resource.kind})
        if ends:
            for body in self._store.sweep(resource, namespace, self._listings.pop(path), int(version)):
                log.info("noticed a deletion late", extra={"object": f"{resource.kind}/{'/'.join(key_of(body))}"})
                self._enqueue(resource, body)
            self._unlisted.discard(path)
            if not self._unlisted:
                self.complete.set()

    def watching(self, plural: str, path: str) -> None:
        """A watch has begun: what it missed comes first."""
        self._store.closed(plural, path)

    def told(self, path: str, change: str, body: Object) -> None:
        """A change of one object, or its end."""
        resource, _ = self._places[path]
        telemetry.watch_seen(resource.plural)
        if change == "DELETED":
            self._store.remove(resource, body)
            self._enqueue(resource, body)
        else:
            self._seen(resource, body)

    def _seen(self, resource: Resource, body: Object) -> None:
        """An object as a watch or a listing shows it.

        What our own write has told already brings no pass, except for Nodes: a Swarm's pass makes them and their own
        passes write their status, and each must hear of the other.
        """
        known = self._store.get(resource, *key_of(body))
        if self._store.put(resource, body) or resource == NODES:
            changed = known is None or known["metadata"].get("generation") != body["metadata"].get("generation")
            self._enqueue(resource, body, afresh=changed)

    def _enqueue(self, resource: Resource, body: Object, afresh: bool = False) -> None:
        namespace, name = key_of(body)
        if resource == SWARMS:
            self._swarms.add((namespace, name), afresh=afresh)
            for node in self._store.of_swarm(namespace, name):
                self._nodes.add(key_of(node))
        elif resource == NODES:
            self._nodes.add((namespace, name), afresh=afresh)
            swarm = ((body.get("spec") or {}).get("swarm") or {}).get("name")
            if swarm:
                self._swarms.add((namespace, swarm))
        else:
            labels = body["metadata"].get("labels") or {}
            if NODE_LABEL in labels:
                self._nodes.add((namespace, labels[NODE_LABEL]))
            elif SWARM_LABEL in labels:
                self._swarms.add((namespace, labels[SWARM_LABEL]))
