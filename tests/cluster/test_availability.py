"""Two replicas: the other acts in time, and who has lost the Lease writes nothing. Watches that fall silent.

With the chart's own Lease of 15 s, renewed every 5 s.
"""

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import SYSTEM, Starter
from tests.cluster.control_plane import ControlPlane, until
from tests.cluster.manifests import node, swarm
from tests.cluster.proxy import ADDRESS, Proxy

#: Seconds until the other replica acts, and until a silent watch brings news again.
ACTS, RECOVERS = 20.0, 90.0
LEASE = {"durationSeconds": 15, "renewSeconds": 5}
FEW, MANY = 2, 50


@pytest.fixture
def lease(namespace: str) -> dict[str, Any]:
    """The chart's Lease, under a name of the test's own."""
    return {"name": f"kubeswarm-{namespace}", **LEASE}


@pytest.fixture
def proxy(cluster: ControlPlane) -> Iterator[Proxy]:
    """Before the API server."""
    server = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    proxy = Proxy(int(server.rpartition(":")[2]))
    yield proxy
    proxy.close()


@pytest.fixture
def through(proxy: Proxy, operator_kubeconfig: Path, tmp_path: Path) -> Path:
    """The operator's kubeconfig, with the proxy for its server."""
    config = yaml.safe_load(operator_kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{proxy.port}"
    path = tmp_path / "proxied.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)
    return path


def _acted(cluster: ControlPlane, namespace: str, nodes: int) -> float:
    """Asks for one Node or for two; returns the monotonic time at which the second one has its head, or is gone."""
    cluster.kubectl("-n", namespace, "scale", "swarm/light", f"--replicas={nodes}")
    if nodes == 2:
        until(lambda: cluster.get(namespace, "sts", "light-1-head"), 30, "Node 1")
    else:
        until(lambda: cluster.get(namespace, "swarmnode", "light-1") is None, 30, "Node 1 gone")
    return time.monotonic()


def _killed(cluster: ControlPlane, namespace: str, start: Starter, lease: dict[str, Any], repeats: int) -> list[float]:
    """Kills the leader again and again; returns the seconds until the other has acted."""
    leader = start(lease=lease)
    cluster.apply(swarm(namespace, nodes=1))
    until(lambda: cluster.get(namespace, "sts", "light-0-head"), 20, "the leader's work")
    took: list[float] = []
    for repeat in range(repeats):
        other = start(leads=False, lease=lease)
        until(other.ready, 30, "the other is at hand")
        began = time.monotonic()
        leader.kill()
        took.append(_acted(cluster, namespace, 2 - repeat % 2) - began)
        leader = other
    return took


def test_the_other_replica_acts_in_time(
    cluster: ControlPlane, namespace: str, start: Starter, lease: dict[str, Any]
) -> None:
    took = _killed(cluster, namespace, start, lease, FEW)
    assert max(took) < ACTS, took


@pytest.mark.soak
def test_the_other_replica_acts_in_time_each_time(
    cluster: ControlPlane, namespace: str, start: Starter, lease: dict[str, Any]
) -> None:
    took = _killed(cluster, namespace, start, lease, MANY)
    print(f"{MANY} kills: {min(took):.1f} to {max(took):.1f} s")
    assert max(took) < ACTS, took


def _partitioned(
    cluster: ControlPlane,
    namespace: str,
    start: Starter,
    lease: dict[str, Any],
    proxy: Proxy,
    through: Path,
    repeats: int,
) -> list[float]:
    """Cuts the leader off the API server again and again; returns the seconds until the other has acted.

    Fails if the one that was cut off wrote anything once the other had the Lease.
    """
    cluster.apply(swarm(namespace, nodes=1))
    took: list[float] = []
    for repeat in range(repeats):
        proxy.set("whole")
        cut_off = start(lease=lease, kubeconfig=through)
        until(lambda: cluster.get(namespace, "sts", "light-0-head"), 20, "the leader's work")
        other = start(leads=False, lease=lease)
        until(other.ready, 30, "the other is at hand")
        began = time.monotonic()
        proxy.set("silent")
        took.append(_acted(cluster, namespace, 2 - repeat % 2) - began)
        taken = datetime.fromisoformat((cluster.get(SYSTEM, "lease", lease["name"]) or {})["spec"]["acquireTime"])
        proxy.set("whole")  # it can write again, and must not
        assert cut_off.ended(30) == 1, "it ends by itself"
        late = [each for each in _writes_through_proxy(cluster, namespace) if _time(each) > taken]
        assert late == []
        assert other.stop() == 0
    return took


def _writes_through_proxy(cluster: ControlPlane, namespace: str) -> list[dict[str, Any]]:
    """Those that had an effect."""
    through = [each for each in cluster.writes() if ADDRESS in each["sourceIPs"] and _of(each, namespace)]
    return [each for each in through if each["responseStatus"]["code"] < 300]


def _of(event: dict[str, Any], namespace: str) -> bool:
    target = event["objectRef"]
    return target.get("namespace") == namespace or target.get("name") == f"kubeswarm-{namespace}"


def _time(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["requestReceivedTimestamp"])


def test_who_is_cut_off_writes_no_more(
    cluster: ControlPlane, namespace: str, start: Starter, lease: dict[str, Any], proxy: Proxy, through: Path
) -> None:
    took = _partitioned(cluster, namespace, start, lease, proxy, through, FEW)
    assert _writes_through_proxy(cluster, namespace), "the proxy's writes are seen at all"
    assert max(took) < ACTS, took


@pytest.mark.soak
def test_who_is_cut_off_writes_no_more_each_time(
    cluster: ControlPlane, namespace: str, start: Starter, lease: dict[str, Any], proxy: Proxy, through: Path
) -> None:
    took = _partitioned(cluster, namespace, start, lease, proxy, through, MANY)
    print(f"{MANY} partitions: {min(took):.1f} to {max(took):.1f} s")
    assert max(took) < ACTS, took


def _silent(cluster: ControlPlane, namespace: str, start: Starter, proxy: Proxy, through: Path, **config: Any) -> float:
    """Makes all watches silent; returns the seconds until an edit is acted on."""
    start(kubeconfig=through, lease={"name": f"kubeswarm-{namespace}", **LEASE}, **config)
    cluster.apply(swarm(namespace, nodes=1))
    until(lambda: cluster.get(namespace, "sts", "light-0-head"), 30, "its work")
    time.sleep(1)
    began = time.monotonic()
    proxy.set("old connections silent")
    return _acted(cluster, namespace, 2) - began


def test_a_silent_watch_is_opened_again(
    cluster: ControlPlane, namespace: str, start: Starter, proxy: Proxy, through: Path
) -> None:
    scale = 1 / 10
    took = _silent(cluster, namespace, start, proxy, through, watchSilenceSeconds=70 * scale)
    assert took < RECOVERS * scale + 15, took  # requests that were under way take 10 s each


@pytest.mark.soak
def test_a_silent_watch_is_opened_again_in_time(
    cluster: ControlPlane, namespace: str, start: Starter, proxy: Proxy, through: Path
) -> None:
    took = _silent(cluster, namespace, start, proxy, through)
    print(f"a silent watch brought news after {took:.1f} s")
    assert took < RECOVERS


@pytest.mark.parametrize("count", [pytest.param(600, id="few"), pytest.param(5000, id="many", marks=pytest.mark.soak)])
def test_nothing_is_lost_of_what_happened_while_all_was_silent(
    cluster: ControlPlane, namespace: str, start: Starter, proxy: Proxy, through: Path, count: int
) -> None:
    """Many objects are made, and one is deleted, while the operator hears nothing and keeps its Lease."""
    lease = {"name": f"kubeswarm-{namespace}", "durationSeconds": 600, "renewSeconds": 60}
    start(kubeconfig=through, lease=lease, watchSilenceSeconds=5)
    cluster.apply(swarm(namespace, nodes=1))
    until(lambda: cluster.get(namespace, "sts", "light-0-head"), 30, "its work")
    proxy.set("silent")
    cluster.kubectl("-n", namespace, "delete", "sts/light-0-head", "--cascade=orphan")
    for first in range(0, count, 500):
        cluster.apply(*(_alone(namespace, index) for index in range(first, min(first + 500, count))))
    proxy.set("whole")
    until(lambda: _told(cluster, namespace) == count, 30 + count / 10, f"{count} Nodes have a status")
    # each watch comes back at its own time
    until(lambda: cluster.get(namespace, "sts", "light-0-head"), 30, "what was deleted is there again")


def _alone(namespace: str, index: int) -> dict[str, Any]:
    """A Node whose Swarm does not exist: it gets a status that says so, and nothing else."""
    return node(namespace, f"alone-{index}", swarm={"name": "absent"})


def _told(cluster: ControlPlane, namespace: str) -> int:
    found = cluster.items(namespace, "swarmnodes")
    return sum(
        any(each["reason"] == "SwarmNotFound" for each in item.get("status", {}).get("conditions", []))
        for item in found
    )
