"""Fixtures: the simulation's control plane with Kueue beside it, and a queue for each test."""

import asyncio
import itertools
from collections.abc import Iterator

import pytest

from hack.simulation.api import connect
from hack.simulation.plane import Plane, provide_volumes
from tests.cluster.control_plane import ControlPlane
from tests.kueue.manager import kueue
from tests.kueue.queues import CLASSES, FLAVOR, QUOTA, cluster_queue, local_queue
from tests.simulation.conftest import plane, start

__all__ = ["plane", "start"]
_serial = itertools.count(1)


@pytest.fixture(scope="session")
def cluster(plane: Plane) -> Iterator[ControlPlane]:
    """The control plane, in which Kueue is ready."""
    cluster = ControlPlane(plane.layout.state)
    with kueue(plane):
        cluster.apply(FLAVOR, *CLASSES)
        yield cluster


@pytest.fixture
def namespace(cluster: ControlPlane, plane: Plane) -> str:
    """A namespace with a queue of its own, whose quota is what a Swarm's Node needs, and a volume for that."""
    name = f"research-{next(_serial)}"
    cluster.kubectl("create", "namespace", name)
    cluster.apply(cluster_queue(name, QUOTA), local_queue(name))
    asyncio.run(_provide_volume(plane, name))
    return name


async def _provide_volume(plane: Plane, name: str) -> None:
    async with connect(plane.layout) as api:
        await provide_volumes(api, 1, name)
