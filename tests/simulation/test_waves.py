"""Many rollout pods come in waves, on a real API server with its real controllers."""

from itertools import pairwise

from hack.simulation.api import Object, connect
from hack.simulation.plane import Plane, provide_volumes, remove_volumes
from kubeswarm_operator.decide.replicas import WAVE
from tests.simulation.life import NAMESPACED, PATIENCE, Starter, swarm

NAMESPACE, WORKERS = "waves", 2 * WAVE + 30


async def test_a_wave_is_asked_for_once_the_one_before_was_made(plane: Plane, start: Starter) -> None:
    start()
    told: list[tuple[int, int]] = []  # pods that a Deployment asks for, and those that its controllers have made

    def seen(event: Object, _now: float) -> bool:
        deployment = event["object"]
        told.append((deployment["spec"]["replicas"], deployment["status"].get("replicas", 0)))
        return told[-1] == (WORKERS, WORKERS)

    async with connect(plane.layout) as api:
        await provide_volumes(api, 1, NAMESPACE)
        try:
            await api.create("/api/v1/namespaces", [{"metadata": {"name": NAMESPACE}}])
            many = swarm(NAMESPACE, "many", rollout={"workers": WORKERS})
            path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
            await api.follow(path, seen, PATIENCE, lambda: api.create(NAMESPACED, [many]))
            await api.send("DELETE", f"{NAMESPACED.format(NAMESPACE)}/many")
        finally:
            await remove_volumes(api)
    grown = [(before, after) for before, after in pairwise(told) if before[0] != after[0]]
    assert told[0] == (WAVE, 0)
    assert [after for _, (after, _) in grown] == [2 * WAVE, WORKERS]
    assert all(asked == made for (asked, made), _ in grown)
