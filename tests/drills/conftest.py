"""Fixtures: the real cluster, one Swarm that trains through all drills, and the clock of recoveries."""

from collections.abc import Iterator

import pytest

from tests.drills.drill import Drill
from tests.e2e.conftest import namespace
from tests.e2e.conftest import system as system
from tests.e2e.swarms import Cluster, tiny_swarm

#: More than are trained while all drills last.
ROUNDS = 1_000_000


@pytest.fixture(scope="module")
def trained(system: Cluster) -> Iterator[Drill]:
    """A Swarm of one Node, its engine in the head pod."""
    with namespace(system, "drills") as cluster:
        # An attestation holds many rounds: one for each of thousands would cost more than the day's funding.
        cluster.apply(tiny_swarm("drill", rounds=ROUNDS, attest={"rounds": 64, "seconds": 5}))
        yield Drill(cluster)


@pytest.fixture
def drill(trained: Drill) -> Drill:
    """The Swarm at work, in a pod without history: a container that was killed before is started again later."""
    trained.start_afresh()
    return trained
