"""A bound, no operator: what a Swarm of one Node consists of with its pods made directly, and nothing else done.

    python -m hack.bench.operator.directly --count 100 [--no-claim]

An operator that made pods itself, as KubeRay's does, could be as fast as this and no faster. No status is written.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections import Counter
from copy import deepcopy
from pathlib import Path

from hack.audit import AuditLog
from hack.bench.operator.contenders import IMAGE, WORKERS, kubeswarm
from hack.bench.operator.course import PATIENCE, SETTLE_SECONDS, at
from hack.console import exit_with
from hack.simulation.api import Api, Object, connect
from hack.simulation.meter import cpu_seconds
from hack.simulation.plane import OPERATOR, Plane, control_plane, provide_volumes
from kubeswarm_api.names import SWARM_LABEL
from kubeswarm_api.node import NodeSpec
from kubeswarm_api.node_config import node_config
from kubeswarm_api.operator_config import Images
from kubeswarm_api.swarm import SwarmSpec
from kubeswarm_contracts import new_key
from kubeswarm_operator.build.meta import Owner
from kubeswarm_operator.build.network_policy import Peers
from kubeswarm_operator.build.node import node
from kubeswarm_operator.build.objects import objects
from kubeswarm_operator.build.secrets import identity_secret, ray_secret
from kubeswarm_operator.decide.health import pod_ready
from kubeswarm_operator.decide.replicas import Replicas
from kubeswarm_operator.resources import CLAIMS, DEPLOYMENTS, NODES, PODS, SECRETS, STATEFUL_SETS, SWARMS, resource_of

SPACE = "bench-0"


def main() -> int:
    """Measures, and prints one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m hack.bench.operator.directly", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="Swarms")
    parser.add_argument("--no-claim", action="store_true", help="with nothing that outlives a head's pod")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kubeswarm-bench-") as folder:
        print(json.dumps(asyncio.run(_measure(Path(folder) / "plane", options.count, not options.no_claim))))
    return 0


async def _measure(state: Path, count: int, claims: bool) -> Object:
    with control_plane(state) as plane:
        async with connect(plane.layout) as api:
            await provide_volumes(api, count + 1)
            space: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}
            await api.create("/api/v1/namespaces", [space])
            return await _course(plane, api, count, claims)


async def _course(plane: Plane, api: Api, count: int, claims: bool) -> Object:
    server, audit = plane.pid("kube-apiserver"), AuditLog(plane.layout.audit_log, OPERATOR)
    await _made(api, ["warm-up"], claims)
    before, mark = cpu_seconds(server), audit.mark()
    took = await _made(api, [f"swarm-{index}" for index in range(count)], claims)
    await asyncio.sleep(SETTLE_SECONDS)
    return {
        "objects": count,
        "claims": claims,
        "readySeconds": {"p50": at(took, 0.5), "p99": at(took, 0.99), "all": at(took, 1.0)},
        "apiServerCpuSeconds": round(cpu_seconds(server) - before, 2),
        "writesOfAllAnObject": round(audit.writes_of_all(mark) / count, 1),
    }


async def _made(api: Api, names: list[str], claims: bool) -> list[float]:
    """Makes Swarms at once; returns the seconds until all pods of each were ready."""
    began, took = time.monotonic(), list[float]()
    ready, pods = Counter[str](), set[str]()

    def seen(event: Object, now: float) -> bool:
        meta = event["object"]["metadata"]
        if pod_ready(event["object"]) and meta["uid"] not in pods:
            pods.add(meta["uid"])
            swarm = meta["labels"][SWARM_LABEL]
            ready[swarm] += 1
            if swarm in names and ready[swarm] == 1 + WORKERS:
                took.append(now - began)
        return len(took) == len(names)

    making = asyncio.gather(*(_make(api, name, claims) for name in names))
    await api.follow(PODS.path(SPACE), seen, PATIENCE)
    await making
    return took


async def _make(api: Api, name: str, claims: bool) -> None:
    """A Swarm, its Node, and what the Node consists of, one after the other as a pass makes them."""
    live = await api.send("POST", SWARMS.path(SPACE), kubeswarm().make(SPACE, name, WORKERS))
    spec = SwarmSpec.model_validate(live["spec"])
    made = await api.send("POST", NODES.path(SPACE), node(Owner(SPACE, name, live["metadata"]["uid"]), spec, 0))
    for each in _parts(made, claims):
        await api.send("POST", resource_of(each).path(SPACE), each)


def _parts(live: Object, claims: bool) -> list[Object]:
    spec, meta = NodeSpec.model_validate(live["spec"]), live["metadata"]
    owner = Owner(SPACE, meta["name"], meta["uid"], spec.swarm.name or "")
    key, address = new_key()
    config = node_config(
        spec, namespace=SPACE, name=owner.name, swarm=owner.swarm, swarm_id="0x" + 64 * "0", node_id=address,
        chain=None, exchange=None,
    )  # fmt: skip
    peers, replicas = Peers(SPACE, None, None, hub=False), Replicas(1, WORKERS, WORKERS)
    parts = [identity_secret(owner, address, False, key), ray_secret(owner, 64 * "0")]
    for each in objects(owner, spec, config, Images(worker=IMAGE), peers, replicas, (), None):
        kind = resource_of(each)
        if kind in (STATEFUL_SETS, DEPLOYMENTS):
            parts += [_pod(each, index, claims) for index in range(each["spec"]["replicas"])]
        elif kind != SECRETS and (claims or kind != CLAIMS):
            parts.append(each)
    return parts


def _pod(workload: Object, index: int, claims: bool) -> Object:
    """A pod of a workload's template."""
    template, meta = deepcopy(workload["spec"]["template"]), workload["metadata"]
    template["metadata"] |= {"name": f"{meta['name']}-{index}", "ownerReferences": meta["ownerReferences"]}
    for volume in template["spec"]["volumes"]:
        if not claims and volume.pop("persistentVolumeClaim", None):
            volume["emptyDir"] = {}
    return {"apiVersion": "v1", "kind": "Pod", **template}


if __name__ == "__main__":
    exit_with(main)
