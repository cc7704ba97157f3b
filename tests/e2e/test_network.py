"""The cluster holds a Node's pods to their network policies: the Node trains and is measured, strangers get nothing."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from kubeswarm_api.names import (
    ATTESTOR_CONTAINER,
    ATTESTOR_PORT,
    RAY_PORT,
    ROLLOUT_CONTAINER,
    ROLLOUT_PORT,
    TRAINER_CONTAINER,
    TRAINER_PORT,
)
from tests.cluster.control_plane import until
from tests.e2e.conftest import namespace
from tests.e2e.swarms import SYSTEM, Cluster, Object, is_true, tiny_swarm

NODE = "guarded-0"
HEAD = f"{NODE}-head-0"
STRANGER_PORT = 8000
UNUSED_SERVICE = "10.96.255.254"  # services get lower addresses first
LISTENS = "0A"  # the state of a listening socket in /proc/net/tcp
LOOPBACK = ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")

#: Says of each port of a host whether a connection opens, is refused, or gets no answer.
PROBE = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def probe(port):
    try:
        with socket.create_connection((sys.argv[1], port), timeout=5):
            return "open"
    except TimeoutError:
        return "silent"
    except ConnectionRefusedError:
        return "refused"
ports = [int(word) for word in sys.argv[2:]]
with ThreadPoolExecutor(len(ports)) as pool:
    print(json.dumps(dict(zip(ports, pool.map(probe, ports)))))
"""


@pytest.fixture(scope="module")
def guarded(system: Cluster) -> Iterator[Cluster]:
    """A Swarm of one Node with a rollout pod, at work, and in its namespace a pod that is not its own."""
    with namespace(system, "guarded") as cluster:
        cluster.apply(tiny_swarm("guarded", rounds=1_000_000, rollout={"maxTokens": 8, "workers": 1}))
        cluster.apply(_stranger())
        cluster.wait("swarmnodes", NODE, is_true("Ready"), 400)
        cluster.wait("pods", "stranger", is_true("Ready"), 60)
        yield cluster


def test_a_node_works_behind_its_policies(guarded: Cluster) -> None:
    """Its rollout pod over Ray, the exchange, the chain, the operator's and Prometheus' scrapes: all get through."""
    guarded.wait("swarmnodes", NODE, lambda n: n["status"].get("attestedRounds", 0) >= 2, 300)
    for port in (TRAINER_PORT, ATTESTOR_PORT, ROLLOUT_PORT):
        until(lambda port=port: _scraped(guarded, port), 60, f"a scrape of port {port}")


def test_strangers_reach_no_port_of_a_node(system: Cluster, guarded: Cluster) -> None:
    """Every port that a Node's pods listen on; the same probe gets through once a policy lets it."""
    heads = _listening(guarded, HEAD, TRAINER_CONTAINER)
    assert heads >= {RAY_PORT, TRAINER_PORT, ATTESTOR_PORT}
    rollouts = _listening(guarded, _rollout_pod(guarded), ROLLOUT_CONTAINER)
    assert ROLLOUT_PORT in rollouts
    head, rollout = _address(guarded, HEAD), _address(guarded, _rollout_pod(guarded))

    with namespace(system, "elsewhere") as elsewhere:
        elsewhere.apply(_stranger())
        elsewhere.wait("pods", "stranger", is_true("Ready"), 60)
        for stranger in (guarded, elsewhere):
            assert _probed(stranger, "stranger", "probe", head, heads) == dict.fromkeys(heads, "silent")
            assert _probed(stranger, "stranger", "probe", rollout, rollouts) == dict.fromkeys(rollouts, "silent")

        guarded.apply(_all_are_let_in())
        until(lambda: _probed(elsewhere, "stranger", "probe", head, heads) == dict.fromkeys(heads, "open"), 30, "open")
        guarded.kubectl("delete", "networkpolicy", "all-are-let-in", "-n", guarded.namespace)
        until(
            lambda: _probed(elsewhere, "stranger", "probe", head, heads) == dict.fromkeys(heads, "silent"), 30, "shut"
        )


def test_who_measures_a_node_reaches_nothing_but_its_metrics(guarded: Cluster) -> None:
    head, system = _address(guarded, HEAD), Cluster(guarded.layout, SYSTEM)
    found = _probed(system, "deployment/kubeswarm-operator", "operator", head, {TRAINER_PORT, ATTESTOR_PORT, RAY_PORT})
    assert found == {TRAINER_PORT: "open", ATTESTOR_PORT: "open", RAY_PORT: "silent"}


def test_a_nodes_pods_reach_no_stranger(guarded: Cluster) -> None:
    stranger, system = _address(guarded, "stranger"), Cluster(guarded.layout, SYSTEM)
    assert _probed(system, "deployment/kubeswarm-operator", "operator", stranger, {STRANGER_PORT}) == {
        STRANGER_PORT: "open"
    }
    for pod, container in (
        (HEAD, TRAINER_CONTAINER),
        (HEAD, ATTESTOR_CONTAINER),
        (_rollout_pod(guarded), ROLLOUT_CONTAINER),
    ):
        assert _probed(guarded, pod, container, stranger, {STRANGER_PORT}) == {STRANGER_PORT: "silent"}


def test_an_address_of_no_service_is_refused_and_not_looked_for_outside(guarded: Cluster) -> None:
    assert _probed(guarded, "stranger", "probe", UNUSED_SERVICE, {STRANGER_PORT}) == {STRANGER_PORT: "refused"}


def _stranger() -> Object:
    """A pod that nobody's policy speaks of; it listens, and probes are run in it."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "stranger"},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "probe",
                    "image": "docker.io/kubeswarm/operator:dev",
                    "imagePullPolicy": "Never",
                    "command": ["python", "-m", "http.server", str(STRANGER_PORT), "--directory", "/tmp"],
                    "readinessProbe": {"tcpSocket": {"port": STRANGER_PORT}, "periodSeconds": 1},
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


def _all_are_let_in() -> Object:
    """Policies add up: with this one, the Node's own stand in nobody's way."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "all-are-let-in"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]},
    }


def _rollout_pod(cluster: Cluster) -> str:
    (pod,) = cluster.objects("pods", f"kubeswarm.dev/node={NODE},kubeswarm.dev/role=rollout")
    return pod["metadata"]["name"]


def _address(cluster: Cluster, pod: str) -> str:
    return cluster.get("pod", pod)["status"]["podIP"]


def _listening(cluster: Cluster, pod: str, container: str) -> set[int]:
    """The TCP ports on which a pod's processes take connections from elsewhere."""
    command = ("exec", pod, "-c", container, "-n", cluster.namespace, "--", "cat", "/proc/net/tcp", "/proc/net/tcp6")
    rows = [line.split() for line in cluster.kubectl(*command).splitlines()]
    sockets = [row[1].split(":") for row in rows if row[3] == LISTENS]
    return {int(port, 16) for address, port in sockets if address not in LOOPBACK}


def _probed(cluster: Cluster, pod: str, container: str, host: str, ports: set[int]) -> dict[int, str]:
    """What becomes of connections from a pod to the ports of a host."""
    words = [host, *map(str, sorted(ports))]
    command = ("exec", pod, "-c", container, "-n", cluster.namespace, "--", "python", "-c", PROBE, *words)
    return {int(port): found for port, found in json.loads(cluster.kubectl(*command)).items()}


def _scraped(cluster: Cluster, port: int) -> bool:
    """Whether Prometheus' last scrape of that port, on the one pod of the Node that has it, went well."""
    service = cluster.get("service", "kubeswarm-prometheus", SYSTEM)
    asked = urlencode({"query": f'up{{node="{NODE}",namespace="{cluster.namespace}",instance=~".+:{port}"}}'})
    with urlopen(f"http://{service['spec']['clusterIP']}:9090/api/v1/query?{asked}", timeout=30) as answer:
        found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    return [sample["value"][1] for sample in found] == ["1"]
