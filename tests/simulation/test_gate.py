"""The performance gate: what a Swarm's life costs in counted things, each within its range.

Counts, not seconds: where a machine is busy, more of the pods' stages are seen, and there is a status or a pass more,
but no multiple of anything. The range of all requests is narrower than a quarter above what was measured on a machine
with a load of 20 on its two cores, so that a slowdown of 25 % does not fit into it.
"""

from hack.simulation.api import connect
from hack.simulation.plane import Plane, provide_volumes, remove_volumes
from tests.simulation.life import Life, Measures, Starter

SWARMS = 6
LATE = 1 / SWARMS + 0.01  # and what is lost by rounding
#: Of one Swarm of one Node with three rollout pods, without Lease and watches: at least and at most. Ten objects are
#: made for it, and Node and Swarm each say once that they are Ready: twelve requests, where nothing else is seen. A
#: stage ends with what a watch shows, a moment before the API server has logged the write maybe: one may be missing.
BUDGET: dict[str, tuple[float, float]] = {
    "create: create": (10, 10),
    "create: status writes": (2 - LATE, 3.5),
    "create: requests": (12 - LATE, 13.5),
    "scale: requests": (8, 15),
    "suspend: requests": (6, 11),
    "resume: requests": (4, 10),
    "delete: requests": (0, LATE),  # the garbage collector takes what the Swarm made
    "life: requests": (34, 49),
    "life: status writes": (9, 18),
    "life: passes": (20, 90),
}


def exceeded(found: Measures) -> set[str]:
    """What is outside its range."""
    return {name for name, (least, most) in BUDGET.items() if not least <= found.get(name, 0) <= most}


async def _life(plane: Plane, start: Starter, namespace: str, module: str = "kubeswarm_operator") -> Measures:
    operator = start(module)
    async with connect(plane.layout) as api:
        await provide_volumes(api, SWARMS, namespace)  # those of a life before may still be going
        try:
            return await Life(plane, api, operator, namespace, SWARMS).measure()
        finally:
            await remove_volumes(api)


async def test_a_life_costs_no_more_than_its_budget(plane: Plane, start: Starter) -> None:
    found = await _life(plane, start, "gate")
    assert not exceeded(found), found


async def test_a_planted_slowdown_of_a_quarter_fails(plane: Plane, start: Starter) -> None:
    found = await _life(plane, start, "slowed", "tests.simulation.slowed")
    assert "life: requests" in exceeded(found), found
