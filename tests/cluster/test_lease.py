"""Leader election: one writes, the other takes over; who lost the Lease writes no more."""

import time
from typing import Any

from tests.cluster.conftest import SYSTEM, Starter
from tests.cluster.control_plane import ControlPlane, until
from tests.cluster.manifests import swarm


def _lease(cluster: ControlPlane, namespace: str) -> dict[str, Any]:
    return (cluster.get(SYSTEM, "lease", f"kubeswarm-{namespace}") or {})["spec"]


def test_the_standby_takes_over_from_a_killed_leader(cluster: ControlPlane, namespace: str, start: Starter) -> None:
    first = start()
    second = start(leads=False)
    cluster.apply(swarm(namespace, nodes=1))
    until(lambda: cluster.get(namespace, "sts", "light-0-head"), 20, "the first replica's work")
    assert not second.leads()
    assert _lease(cluster, namespace)["holderIdentity"].startswith(_name(first.log()))
    killed = time.monotonic()
    first.kill()
    until(second.leads, 20, "the second leads")
    assert time.monotonic() - killed > 2, "not before the Lease ran out"
    cluster.kubectl("-n", namespace, "scale", "swarm/light", "--replicas=2")
    until(lambda: cluster.get(namespace, "sts", "light-1-head"), 20, "the second replica's work")
    assert _lease(cluster, namespace)["leaseTransitions"] == 1


def _name(log: list[dict[str, Any]]) -> str:
    return next(line["identity"] for line in log if line["message"] == "this replica leads")


def test_a_stopped_leader_hands_over_at_once(cluster: ControlPlane, namespace: str, start: Starter) -> None:
    first = start()
    second = start(leads=False)
    time.sleep(3)
    stopped = time.monotonic()
    assert first.stop() == 0
    until(second.leads, 10, "the second leads")
    assert time.monotonic() - stopped < 4


def test_a_robbed_leader_ends_and_writes_no_more(cluster: ControlPlane, namespace: str, start: Starter) -> None:
    first = start()
    cluster.apply(swarm(namespace, nodes=1))
    until(lambda: cluster.get(namespace, "sts", "light-0-head"), 20, "its work")
    time.sleep(2)
    cluster.patch(SYSTEM, "lease", f"kubeswarm-{namespace}", {"spec": {"holderIdentity": "somebody-else"}})
    assert first.ended(20) == 1
    assert _lease(cluster, namespace)["holderIdentity"] == "somebody-else"
    written = len(cluster.writes())
    cluster.kubectl("-n", namespace, "scale", "swarm/light", "--replicas=2")
    time.sleep(3)
    assert len(cluster.writes()) == written
