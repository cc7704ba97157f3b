"""The last known state of every watched object, fed by listings, watches and the answers to our own writes.

kopf's own indices are not used for this: they never hear of an object that was deleted while a watch was broken (after
a new listing `sweep` finds those here), and at a start all objects wait for one another, which takes the square of
their number.
"""

import sys
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Set
from typing import Any, cast

from kubeswarm_api.names import NODE_LABEL, SWARM_LABEL
from kubeswarm_operator.resources import NODES, PODS, SECRETS, Object, Resource

#: (namespace, name) of an object of a known resource.
Key = tuple[str, str]
#: Objects gone from sight (deleted, or without our label) that are remembered, so that no late event brings one back.
_GONE = 10_000
_KEPT_OF_PODS = ("nodeName", "schedulingGates")


def key_of(body: Object) -> Key:
    """Namespace and name."""
    return body["metadata"]["namespace"], body["metadata"]["name"]


def trim(resource: Resource, body: Object) -> Object:
    """What is kept of an object: no field ownership, and of a Secret no content."""
    meta = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    out = {**body, "metadata": meta}
    if resource == SECRETS:
        out["data"] = dict.fromkeys(body.get("data") or {}, "")
    elif resource == PODS:
        spec = body.get("spec", {})
        out["spec"] = {key: spec[key] for key in _KEPT_OF_PODS if key in spec}
    return _sharing(out)


def _sharing(value: Any) -> Any:
    """The same, each text in memory once: half of what thousands of objects take is what they have in common."""
    if isinstance(value, str):
        return sys.intern(value)
    if isinstance(value, dict):
        return {sys.intern(key): _sharing(each) for key, each in cast(Object, value).items()}
    if isinstance(value, list):
        return [_sharing(each) for each in cast(list[Any], value)]
    return value


class Store:
    """All watched objects by resource, namespace and name; a Node's objects and a Swarm's Nodes also by their owner."""

    def __init__(self) -> None:
        self._objects: dict[Resource, dict[Key, Object]] = defaultdict(dict)
        self._by_label: dict[tuple[Resource, str, str, str], dict[Key, Object]] = defaultdict(dict)
        self._gone: OrderedDict[str, int] = OrderedDict()  # resourceVersion at the end, by uid
        self._gaps: set[tuple[str, str]] = set()  # in what is heard: plurals, and paths of the watches

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """The object, or None."""
        return self._objects[resource].get((namespace, name))

    def all(self, resource: Resource) -> Iterable[Object]:
        """All objects of a resource."""
        return self._objects[resource].values()

    def of_node(self, resource: Resource, namespace: str, node: str) -> list[Object]:
        """Objects that carry a Node's label."""
        return list(self._by_label.get((resource, namespace, NODE_LABEL, node), {}).values())

    def of_swarm(self, namespace: str, swarm: str) -> list[Object]:
        """Nodes that take part in a Swarm of their namespace."""
        return list(self._by_label.get((NODES, namespace, SWARM_LABEL, swarm), {}).values())

    def put(self, resource: Resource, body: Object) -> bool:
        """Takes an object in, unless something newer is known of it. Returns whether anything changed."""
        meta = body["metadata"]
        if int(meta["resourceVersion"]) <= self._gone.get(meta["uid"], -1):
            return False
        key = key_of(body)
        known = self._objects[resource].get(key)
        same = known is not None and known["metadata"]["uid"] == meta["uid"]
        if known and same and int(known["metadata"]["resourceVersion"]) >= int(meta["resourceVersion"]):
            return False
        if known is not None:
            self._unindex(resource, key, known)
        trimmed = trim(resource, body)
        self._objects[resource][key] = trimmed
        for index in self._indices(resource, trimmed):
            self._by_label[index][key] = trimmed
        return True

    def remove(self, resource: Resource, body: Object) -> None:
        """Forgets a deleted object."""
        uid = body["metadata"]["uid"]
        self._gone[uid] = int(body["metadata"]["resourceVersion"])
        if len(self._gone) > _GONE:
            self._gone.popitem(last=False)
        key = key_of(body)
        known = self._objects[resource].get(key)
        if known is not None and known["metadata"]["uid"] == uid:
            del self._objects[resource][key]
            self._unindex(resource, key, known)

    def sweep(self, resource: Resource, namespace: str | None, alive: Set[str], version: int) -> list[Object]:
        """Forgets what a listing of one namespace (None: of all) should have shown and did not.

        `alive`: the uids in it; `version`: its resourceVersion: what was written after it is no matter of its. Returns
        what was forgotten.
        """
        vanished = [
            body
            for body in self._objects[resource].values()
            if namespace in (None, body["metadata"]["namespace"])
            and body["metadata"]["uid"] not in alive
            and int(body["metadata"]["resourceVersion"]) <= version
        ]
        for body in vanished:
            self.remove(resource, body)
        return vanished

    def interrupted(self, plural: str, path: str) -> None:
        """From now on changes of a resource may go unheard, until its gap is `closed`; `path`: of the watch."""
        self._gaps.add((plural, path))

    def closed(self, plural: str, path: str) -> None:
        """What went unheard of this watch is known now."""
        self._gaps.discard((plural, path))

    def may_be_old(self, resource: Resource) -> bool:
        """Whether objects of a resource may have changed, or gone, without being heard of."""
        return any(plural == resource.plural for plural, _ in self._gaps)

    def _unindex(self, resource: Resource, key: Key, body: Object) -> None:
        for index in self._indices(resource, body):
            bucket = self._by_label.get(index)
            if bucket is not None:
                bucket.pop(key, None)
                if not bucket:
                    del self._by_label[index]

    @staticmethod
    def _indices(resource: Resource, body: Object) -> list[tuple[Resource, str, str, str]]:
        namespace = body["metadata"]["namespace"]
        if resource == NODES:
            swarm = ((body.get("spec") or {}).get("swarm") or {}).get("name")
            return [(resource, namespace, SWARM_LABEL, swarm)] if swarm else []
        node = (body["metadata"].get("labels") or {}).get(NODE_LABEL)
        return [(resource, namespace, NODE_LABEL, node)] if node else []
