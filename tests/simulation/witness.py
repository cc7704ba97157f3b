"""Watches what the API server tells of Swarms, Nodes and pods, and says where Ready was claimed without ground."""

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from hack.simulation.api import Api, Object
from tests.cluster.control_plane import SLOWNESS

PATHS = ("/apis/kubeswarm.dev/v1alpha1/swarms", "/apis/kubeswarm.dev/v1alpha1/swarmnodes", "/api/v1/pods")
#: Seconds since when the ground may have gone when Ready is written: the operator's watches and a pass lie between.
#: A Swarm speaks by its Nodes' words, which are that old already.
LAG = {"Node": 1.0 * SLOWNESS, "Swarm": 2.0 * SLOWNESS}


@dataclass(frozen=True)
class Sight:
    """One event of a watch."""

    at: float  # monotonic
    version: int  # the order of all writes of a cluster
    gone: bool
    body: Object


@dataclass
class Witness:
    """The history of one cluster."""

    api: Api
    sights: list[Sight] = field(default_factory=list)

    async def watch(self) -> None:
        """From now on, for ever."""
        versions = [(await self.api.send("GET", f"{path}?limit=1"))["metadata"]["resourceVersion"] for path in PATHS]
        self._tasks = [
            asyncio.create_task(self._follow(path, version)) for path, version in zip(PATHS, versions, strict=True)
        ]

    async def _follow(self, path: str, version: str) -> None:
        while True:  # a watch ends by itself after minutes
            async for event in self.api.events(path, version):
                body = event["object"]
                version = body["metadata"]["resourceVersion"]
                self.sights.append(Sight(time.monotonic(), int(version), event["type"] == "DELETED", body))

    def ungrounded(self, namespace: str) -> list[str]:
        """Where Ready was written as True without all pods that the spec of that generation wants having been ready."""
        told = [each for each in self.sights if each.body["metadata"]["namespace"] == namespace]
        return list(ungrounded(sorted(told, key=lambda each: each.version)))

    def forget(self) -> None:
        """Drops what was seen so far."""
        self.sights.clear()


def ungrounded(sights: list[Sight]) -> Iterator[str]:
    """Where Ready was written without ground, in a namespace's events in the order of their writes."""
    objects: dict[tuple[str, str], Object] = {}
    specs: dict[tuple[str, int], Object] = {}  # by uid and generation
    grounds: dict[tuple[str, int], float] = {}  # when all pods were ready last
    for sight in sights:
        body, meta = sight.body, sight.body["metadata"]
        kind = body.get("kind", "Pod")
        if sight.gone:
            objects.pop((kind, meta["name"]), None)
        else:
            objects[kind, meta["name"]] = body
        if kind != "Pod":
            specs[meta["uid"], meta["generation"]] = body["spec"]
        pods = [each for (what, _), each in objects.items() if what == "Pod"]
        for owner in (each for (what, _), each in objects.items() if what != "Pod"):
            for generation in _generations(owner):
                spec = specs.get((owner["metadata"]["uid"], generation))
                if spec is not None and _all_ready(owner, spec, pods):
                    grounds[owner["metadata"]["uid"], generation] = sight.at
        if kind != "Pod" and not sight.gone and _claims_ready(body):
            since = grounds.get((meta["uid"], body["status"]["observedGeneration"]), float("-inf"))
            if sight.at - since > LAG[kind]:
                yield (
                    f"{kind} {meta['name']} says Ready at resourceVersion {sight.version} (generation "
                    f"{meta['generation']}, observed {body['status']['observedGeneration']}), and its pods were all "
                    f"ready {sight.at - since:.1f} s ago: {json.dumps([_brief(pod) for pod in pods])}"
                )


def _generations(body: Object) -> set[int]:
    """Those of which a status may speak now."""
    observed = (body.get("status") or {}).get("observedGeneration", 0)
    return {observed, body["metadata"]["generation"]}


def _claims_ready(body: Object) -> bool:
    conditions = (body.get("status") or {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _all_ready(owner: Object, spec: Object, pods: list[Object]) -> bool:
    if spec.get("suspend"):
        return False
    name = owner["metadata"]["name"]
    nodes = [name] if owner["kind"] == "Node" else [f"{name}-{index}" for index in range(spec.get("nodes", 1))]
    workers = spec.get("rollout", {}).get("workers", 0)
    return all(_ready(pods, node, "head") >= 1 and _ready(pods, node, "rollout") >= workers for node in nodes)


def _ready(pods: list[Object], node: str, role: str) -> int:
    """Ready pods of a Node in a role."""
    wanted = {"kubeswarm.dev/node": node, "kubeswarm.dev/role": role}
    return sum(pod_ready(pod) for pod in pods if wanted.items() <= (pod["metadata"].get("labels") or {}).items())


def pod_ready(pod: Object) -> bool:
    """By Kubernetes' word, and not on its way out."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def _brief(pod: Object) -> str:
    return f"{pod['metadata']['name']}: {'ready' if pod_ready(pod) else 'not ready'}"
