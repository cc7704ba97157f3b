"""The life of some Swarms, made, scaled, suspended, resumed and deleted, in counted things a Swarm."""

import urllib.request
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from hack.audit import AuditLog, Requests
from hack.console import Problem
from hack.simulation.api import Api, Object
from hack.simulation.plane import OPERATOR, Plane
from kubeswarm_api import metrics
from tests.cluster.control_plane import SLOWNESS
from tests.cluster.operator_process import OperatorProcess

SWARMS, NODES = "/apis/kubeswarm.dev/v1alpha1/swarms", "/apis/kubeswarm.dev/v1alpha1/swarmnodes"
NAMESPACED = "/apis/kubeswarm.dev/v1alpha1/namespaces/{}/swarms"
WORKERS = 3
PATIENCE = 30.0 * SLOWNESS
_MERGE = "application/merge-patch+json"

Starter = Callable[..., OperatorProcess]
#: Counted things a Swarm, by "stage: thing".
Measures = dict[str, float]


class Life:
    """Swarms of one Node with three rollout pods, all in one namespace of their own."""

    def __init__(self, plane: Plane, api: Api, operator: OperatorProcess, namespace: str, count: int) -> None:
        self._api, self._operator = api, operator
        self._audit = AuditLog(plane.layout.audit_log, OPERATOR)
        self._namespace, self._count = namespace, count
        self._names = [f"swarm-{index}" for index in range(count)]

    async def measure(self) -> Measures:
        """Runs all of it."""
        found: Measures = {}
        for stage in (self._create, self._scale, self._suspend, self._resume, self._delete):
            mark, passes = self._audit.mark(), self._passes()
            await stage()
            requests = self._audit.since(mark)
            name = stage.__name__.removeprefix("_")
            found |= self._counted(name, requests, self._passes() - passes)
        whole = ("requests", "status writes", "passes")
        return found | {f"life: {what}": sum(v for k, v in found.items() if k.endswith(f": {what}")) for what in whole}

    def _counted(self, stage: str, requests: Requests, passes: float) -> Measures:
        def share(keys: Iterable[tuple[str, str]]) -> float:
            return round(sum(requests[key] for key in keys) / self._count, 2)

        by_verb = {f"{stage}: {verb}": share(k for k in requests if k[0] == verb) for verb in {k[0] for k in requests}}
        status = share(key for key in requests if key[1].endswith("/status"))
        return by_verb | {
            f"{stage}: requests": share(requests),
            f"{stage}: status writes": status,
            f"{stage}: passes": round(passes / self._count, 2),
        }

    def _passes(self) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._operator.port}/metrics", timeout=10) as response:
            lines = response.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{metrics.RECONCILES.name}{{"))

    async def _create(self) -> None:
        await self._api.create("/api/v1/namespaces", [{"metadata": {"name": self._namespace}}])
        bodies = (swarm(self._namespace, name) for name in self._names)
        # the stand-in of all trainers says that it is in round 1
        await self._until(
            lambda: self._api.create(NAMESPACED, bodies),
            SWARMS,
            lambda each: says(each, "Ready", "Training") and each["status"]["round"] == 1,
        )

    async def _scale(self) -> None:
        pods = WORKERS + 1
        await self._until(
            lambda: self._edit({"rollout": {"workers": pods}}),
            NODES,
            lambda each: says(each, "Ready", "Training") and each["status"]["readyRolloutReplicas"] == pods,
        )

    async def _suspend(self) -> None:
        await self._until(
            lambda: self._edit({"suspend": True}),
            NODES,
            lambda each: says(each, "Ready", "Suspended") and not each["status"].get("rolloutReplicas"),
        )

    async def _resume(self) -> None:
        await self._until(lambda: self._edit({"suspend": False}), SWARMS, lambda each: says(each, "Ready", "Training"))

    async def _delete(self) -> None:
        path = NAMESPACED.format(self._namespace)
        await self._until(lambda: self._api.send("DELETE", path), NODES, lambda each: each["gone"])

    async def _edit(self, spec: Object) -> None:
        path = NAMESPACED.format(self._namespace)
        for name in self._names:
            await self._api.send("PATCH", f"{path}/{name}", {"spec": spec}, _MERGE)

    async def _until(self, act: Callable[[], Awaitable[Any]], path: str, holds: Callable[[Object], bool]) -> None:
        """Acts, and watches until it holds for as many objects as there are Swarms."""
        reached: set[str] = set()
        statuses: dict[str, Object] = {}

        def seen(event: Object, _now: float) -> bool:
            body = {**event["object"], "gone": event["type"] == "DELETED"}
            meta = body["metadata"]
            if meta["namespace"] == self._namespace:
                (reached.add if holds(body) else reached.discard)(meta["name"])
                statuses[meta["name"]] = body.get("status") or {}
            return len(reached) == self._count

        try:
            await self._api.follow(path, seen, PATIENCE, act)
        except Problem as error:
            late = {name: status.get("conditions") for name, status in statuses.items() if name not in reached}
            raise AssertionError(f"{error}; not as they should be: {late}") from error


def swarm(namespace: str, name: str, **spec: Any) -> Object:
    """A Swarm of one Node with three rollout pods, whose key goes with it."""
    return {
        "apiVersion": "kubeswarm.dev/v1alpha1",
        "kind": "Swarm",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "nodes": 1,
            "model": {"image": "simulated:none"},
            "environment": {"reasoningGym": {"tasks": [{"name": "chain_sum"}]}},
            "rollout": {"workers": WORKERS},
            "identity": {"retain": False},
            **spec,
        },
    }


def says(body: Object, kind: str, reason: str) -> bool:
    """Whether a condition of the object's current generation gives that reason."""
    status = body.get("status") or {}
    current = status.get("observedGeneration") == body["metadata"]["generation"]
    return current and any(c["type"] == kind and c["reason"] == reason for c in status.get("conditions") or [])
