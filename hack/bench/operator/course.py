"""The course that each operator runs: objects made, idled beside, a restart, a big neighbour, all deleted."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hack.audit import AuditLog, Requests, written
from hack.bench.operator.contenders import WORKERS, Contender
from hack.cluster import processes
from hack.console import Problem, say
from hack.simulation.api import Api, Object
from hack.simulation.meter import cpu_seconds, peak_bytes
from hack.simulation.plane import Plane, provide_volumes, remove_volumes
from kubeswarm_operator.decide.health import pod_ready

PATIENCE = 1800.0
SETTLE_SECONDS = 10.0
BIG, PROBE, SMALL = "big", "probe", "small"
BIG_PODS = 1000
#: Claims of the objects that are made beside the counted ones.
SPARE_VOLUMES = 8


@dataclass(frozen=True)
class Course:
    """One operator, so many objects over so many namespaces."""

    plane: Plane
    api: Api
    contender: Contender
    count: int
    namespaces: int
    idle_seconds: float
    neighbour: bool
    chart: bool  # whether the operator is held to its chart's default limits

    async def run(self) -> Object:
        """Everything that was measured."""
        if self.contender.volumes:
            await provide_volumes(self.api, self.count + SPARE_VOLUMES)
        await self.api.create("/api/v1/namespaces", (_namespace(name) for name in self._spaces()))
        self._start()
        audit = AuditLog(self.plane.layout.audit_log, self.contender.user)
        await self._made([self._object("warm-up")])
        result: Object = {
            "operator": self.contender.name,
            "objects": self.count,
            "namespaces": self.namespaces,
            "limits": "chart" if self.chart else "none",
            "pods": self.count * (1 + WORKERS),
            **await self._create(audit),
        }
        result["idle"] = await self._idle(audit)
        result["restart"] = await self._restart()
        if self.neighbour:
            result["neighbour"] = await self._neighbour()
        result["peakMemoryBytes"] = max(result["peakMemoryBytes"], peak_bytes(self._pid()))
        result["delete"] = await self._delete()
        return result

    def _spaces(self) -> list[str]:
        return [f"bench-{index}" for index in range(self.namespaces)]

    def _object(self, name: str, index: int = 0, workers: int = WORKERS) -> Object:
        return self.contender.make(f"bench-{index % self.namespaces}", name, workers)

    @cached_property
    def _command(self) -> tuple[list[str | Path], Mapping[str, str]]:
        """Made once: neither CRDs nor accounts count for a restart."""
        return self.contender.command(self.plane)

    def _start(self) -> None:
        command, environment = self._command
        layout = self.plane.layout
        operator = processes.start("operator", command, pids=layout.pids, logs=layout.logs, env=environment)
        if self.chart:
            self.contender.chart.hold(operator.pid)

    def _pid(self) -> int:
        return self.plane.pid("operator")

    async def _made(self, objects: list[Object]) -> list[float]:
        """Makes objects; returns the seconds from each one's creation until it was said to be ready."""
        began: dict[tuple[str, str], float] = {}
        took: dict[tuple[str, str], float] = {}
        wanted = {_key(each) for each in objects}

        def seen(event: Object, now: float) -> bool:
            key = _key(event["object"])
            if key in wanted and key in began and key not in took and self.contender.ready(event["object"]):
                took[key] = now - began[key]
            return len(took) == len(wanted)

        async def make(each: Object) -> None:
            began[_key(each)] = time.monotonic()
            await self.api.create(self.contender.namespaced, [each])

        watching = asyncio.create_task(self.api.follow(self.contender.path, seen, PATIENCE))
        await asyncio.sleep(0.5)
        await asyncio.gather(*map(make, objects))
        await watching
        return sorted(took.values())

    async def _create(self, audit: AuditLog) -> Object:
        pids = {"operator": self._pid(), "apiServer": self.plane.pid("kube-apiserver")}
        before, mark, began = {name: cpu_seconds(pid) for name, pid in pids.items()}, audit.mark(), time.monotonic()
        took = await self._made([self._object(f"swarm-{index}", index) for index in range(self.count)])
        whole = time.monotonic() - began
        say(f"{self.contender.name}: {self.count} are ready after {whole:.1f} s")
        await asyncio.sleep(SETTLE_SECONDS)
        requests = audit.since(mark)
        return {
            "readySeconds": {"p50": at(took, 0.5), "p99": at(took, 0.99), "all": round(whole, 2)},
            "cpuSeconds": {name: round(cpu_seconds(pid) - before[name], 2) for name, pid in pids.items()},
            "requestsAnObject": round(sum(requests.values()) / self.count, 2),
            "requests": self._by_kind(requests),
            "writesOfAllAnObject": round(audit.writes_of_all(mark) / self.count, 1),
            "peakMemoryBytes": peak_bytes(pids["operator"]),
        }

    def _by_kind(self, requests: Requests) -> dict[str, float]:
        ordered = sorted(requests.items(), key=lambda item: (-item[1], item[0]))
        return {" ".join(what): round(count / self.count, 2) for what, count in ordered}

    async def _idle(self, audit: AuditLog) -> Object:
        pid, mark = self._pid(), audit.mark()
        before = cpu_seconds(pid)
        await asyncio.sleep(self.idle_seconds)
        return {
            "seconds": self.idle_seconds,
            "cpuSeconds": round(cpu_seconds(pid) - before, 2),
            "writes": written(audit.since(mark)),
        }

    async def _restart(self) -> Object:
        """Stopped as Kubernetes does it, and started again: synced once a new object is ready."""
        processes.stop("operator", self.plane.layout.pids)
        began = time.monotonic()
        self._start()
        await self._made([self._object(PROBE)])
        seconds = time.monotonic() - began
        return {"syncedSeconds": round(seconds, 2), "cpuSeconds": round(cpu_seconds(self._pid()), 2)}

    async def _neighbour(self) -> Object:
        """How long a small object waits for one more pod: alone, and while another one scales up to a thousand."""
        await self._made([self._object(SMALL), self._object(BIG, workers=1)])
        alone = await self._scaled(WORKERS + 1)
        await self._patch(BIG, BIG_PODS)
        await asyncio.sleep(1.0)
        beside = await self._scaled(WORKERS + 2)
        return {"pods": BIG_PODS, "aloneSeconds": round(alone, 2), "besideSeconds": round(beside, 2)}

    async def _scaled(self, workers: int) -> float:
        """Seconds from the edit of the small object until its pods are ready."""
        ready: set[str] = set()

        def seen(event: Object, _now: float) -> bool:
            body = event["object"]
            name = body["metadata"]["name"]
            if name.startswith(f"{SMALL}-") and event["type"] != "DELETED" and pod_ready(body):
                ready.add(name)
            return bool(ready - before)

        pods = await self.api.items("/api/v1/namespaces/bench-0/pods")
        before = {pod["metadata"]["name"] for pod in pods if pod_ready(pod)}
        watching = asyncio.create_task(self.api.follow("/api/v1/namespaces/bench-0/pods", seen, PATIENCE))
        await asyncio.sleep(0.5)
        began = time.monotonic()
        await self._patch(SMALL, workers)
        await watching
        return time.monotonic() - began

    async def _patch(self, name: str, workers: int) -> None:
        path = f"{self.contender.namespaced.format('bench-0')}/{name}"
        await self.api.send("PATCH", path, self.contender.scale(workers), "application/merge-patch+json")

    async def _delete(self) -> Object:
        """Deletes all, each by itself as kubectl does; done when neither objects nor what they made are left."""
        keys = map(_key, await self.api.items(self.contender.path))
        pid, before, began = self._pid(), cpu_seconds(self._pid()), time.monotonic()
        await asyncio.gather(
            *(self.api.send("DELETE", f"{self.contender.namespaced.format(space)}/{name}") for space, name in keys)
        )
        for path in (*self.contender.kinds, "/api/v1/pods"):
            while await self.api.items(f"{path}?limit=1"):
                if time.monotonic() - began > PATIENCE:
                    raise Problem(f"{path} is not empty {PATIENCE:.0f} s after the deletion")
                await asyncio.sleep(0.5)
        seconds = time.monotonic() - began
        if self.contender.volumes:
            await remove_volumes(self.api)
        return {"seconds": round(seconds, 2), "cpuSeconds": round(cpu_seconds(pid) - before, 2)}


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _key(body: Object) -> tuple[str, str]:
    return body["metadata"]["namespace"], body["metadata"]["name"]


def at(ordered: list[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)
