"""Watches what the API server tells of Swarms, Nodes and pods, and says where Ready was claimed without ground."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hack.simulation.api import Api, Object, WatchRefused, missed
from tests.cluster.control_plane import SLOWNESS

PATHS = ("/apis/kubeswarm.dev/v1alpha1/swarms", "/apis/kubeswarm.dev/v1alpha1/swarmnodes", "/api/v1/pods")
#: Seconds since when the ground may have gone when Ready is asked to be written: the operator's watches and a pass lie
#: between. So it may have gone with the spec before, which asked for no pods: pods, not specs, are what is seen late.
#: A Swarm speaks by its Nodes' words, which are that old already.
LAG = {"Node": 1.0 * SLOWNESS, "Swarm": 2.0 * SLOWNESS}
#: So far back goes what is shown of a mistake.
TOLD_SECONDS = 12.0


@dataclass(frozen=True)
class Sight:
    """One event of a watch."""

    at: float  # monotonic
    version: int  # the order of all writes of a cluster
    gone: bool
    body: Object


@dataclass(frozen=True)
class Gap:
    """Writes of which nothing was heard, because the API server no longer remembered them when it was asked."""

    since: int
    until: int
    at: float  # its end

    def touches(self, claim: Sight, ground: float) -> bool:
        """Whether the ground of a claim, which may be as old as that moment, may lie in it."""
        return self.since < claim.version and (claim.version <= self.until or ground <= self.at)


@dataclass
class Witness:
    """The history of one cluster."""

    api: Api
    asked: Mapping[int, float]  # when a change was asked for, by the resourceVersion that it made
    sights: list[Sight] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    async def watch(self) -> None:
        """From now on, for ever."""
        versions = [await self.api.version(path) for path in PATHS]
        self._tasks = [
            asyncio.create_task(self._follow(path, version)) for path, version in zip(PATHS, versions, strict=True)
        ]

    async def _follow(self, path: str, version: str) -> None:
        known: dict[str, Object] = {}
        while True:  # a watch ends by itself after minutes
            try:
                async for event in self.api.events(path, version):
                    body, gone = event["object"], event["type"] == "DELETED"
                    version = body["metadata"]["resourceVersion"]
                    self._see(known, int(version), gone, body)
            except WatchRefused:  # of a server that has just begun, or that was not read from for too long
                found = await self.api.send("GET", path)
                since, version = version, found["metadata"]["resourceVersion"]
                for event in missed(known, found):
                    body, gone = event["object"], event["type"] == "DELETED"
                    self._see(known, int(version if gone else body["metadata"]["resourceVersion"]), gone, body)
                self.gaps.append(Gap(int(since), int(version), time.monotonic()))

    def _see(self, known: dict[str, Object], version: int, gone: bool, body: Object) -> None:
        self.sights.append(Sight(time.monotonic(), version, gone, body))
        known.pop(body["metadata"]["uid"], None)
        known |= {} if gone else {body["metadata"]["uid"]: body}

    def ungrounded(self, namespace: str) -> list[str]:
        """Where Ready was written as True without all pods that the spec of that generation wants having been ready."""
        told = [each for each in self.sights if each.body["metadata"]["namespace"] == namespace]
        return list(ungrounded(sorted(told, key=lambda each: each.version), self.gaps, self.asked))

    def forget(self) -> None:
        """Drops what was seen so far."""
        self.sights.clear()


def ungrounded(
    sights: list[Sight], gaps: Sequence[Gap] = (), asked: Mapping[int, float] | None = None
) -> Iterator[str]:
    """Where Ready was written without ground, in a namespace's events in the order of their writes.

    Of what may have had its ground, or its spec, in a gap nothing is said. `asked`: when a change was asked for, by the
    resourceVersion that it made: what the API server takes long to write is not older for that.
    """
    pods: dict[str, Object] = {}
    history: list[tuple[float, list[Object]]] = [(float("-inf"), [])]  # since when there were which pods
    specs: dict[tuple[str, int], Object] = {}  # by uid and generation
    said: dict[str, Object] = {}  # the last status by uid
    for sight in sights:
        body, meta = sight.body, sight.body["metadata"]
        kind = body.get("kind", "Pod")
        if kind == "Pod":
            pods.pop(meta["name"], None)
            pods |= {} if sight.gone else {meta["name"]: body}
            history.append((sight.at, list(pods.values())))
            continue
        specs[meta["uid"], meta["generation"]] = body["spec"]
        status = body.get("status") or {}
        new = said.get(meta["uid"]) != status
        said[meta["uid"]] = status
        if sight.gone or not new or not _claims_ready(body):  # a write of the spec leaves what was said as it was
            continue
        observed = body["status"]["observedGeneration"]
        spec = specs.get((meta["uid"], observed))
        at = (asked or {}).get(sight.version, sight.at)
        if any(gap.touches(sight, float("-inf") if spec is None else at - LAG[kind]) for gap in gaps):
            continue
        if spec is None or not any(_all_ready(body, spec, seen) for seen in _recent(history, at - LAG[kind])):
            versions = f"resourceVersion {sight.version} (generation {meta['generation']}, observed {observed})"
            yield (
                f"{kind} {meta['name']} says Ready at {versions}, asked for {sight.at - at:.1f} s earlier, and in the "
                f"{LAG[kind]:g} s before that not all of its pods were ready at once; before: "
                f"{json.dumps(_told_before(sight, sights), indent=1)}"
            )


def _recent(history: list[tuple[float, list[Object]]], since: float) -> Iterator[list[Object]]:
    """What pods there were at any time from `since` on, the latest first."""
    for at, pods in reversed(history):
        yield pods
        if at <= since:
            return


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


def _told_before(sight: Sight, sights: list[Sight]) -> list[str]:
    """What was seen in the last seconds before, and when."""
    return [_brief(each, sight.at) for each in sights if sight.at - TOLD_SECONDS < each.at <= sight.at]


def _brief(sight: Sight, now: float) -> str:
    body, meta = sight.body, sight.body["metadata"]
    conditions = (body.get("status") or {}).get("conditions") or []
    ready = next((f"{each['status']} {each.get('reason', '')}" for each in conditions if each["type"] == "Ready"), "")
    state = "gone" if sight.gone else f"Ready {ready}" + (", to go" if "deletionTimestamp" in meta else "")
    return f"{sight.at - now:.2f} s {body.get('kind', 'Pod')} {meta['name']} ({meta.get('generation', '')}): {state}"
