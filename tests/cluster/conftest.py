"""Fixtures: one control plane a session, one namespace a test, operators with exactly the rights that they declare."""

import itertools
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.cluster.binaries import asked_release, ensure_programs
from hack.cluster.definitions import wait_for_definitions
from hack.cluster.layout import cache_folder
from hack.cluster.settings import COUNTED
from kubeswarm_contracts.deploy import DEVELOPMENT_KEY
from kubeswarm_operator.permissions import OWN_RULES, WATCHED_RULES, Rule
from tests.cluster.children import all_expected, settle
from tests.cluster.control_plane import ROOT, ControlPlane, until
from tests.cluster.manifests import POD, UNJUDGED, swarm
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.told import PROPERTY, Told
from tests.cluster.worker import Worker
from tests.unit.exchange.conftest import Server

#: Which of how many processes this is that the tests are spread over: their ports lie apart.
PART = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PARTS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
OPERATOR_PORTS = range(22000 + 900 * PART // PARTS, 22000 + 900 * (PART + 1) // PARTS)
#: Long enough for a machine that is busy: an operator that loses it ends.
LEASE = {"durationSeconds": 15, "renewSeconds": 2}
SYSTEM = COUNTED
#: The Swarm of `manifests.swarm`, and its first Node.
LIGHT = (("swarmnode", "light-0"), ("swarm", "light"))
_serial = itertools.count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[ControlPlane]:
    """The control plane, with the CRDs and the operator's service account in it."""
    state = Path(tempfile.mkdtemp(prefix="kubeswarm-control-plane-"))  # pytest's own may go while others run
    hack = [sys.executable, "-m", "hack.cluster"]
    # Several sessions may run on one machine.
    offset = 1000 + 100 * (PARTS * secrets.randbelow(100 // PARTS) + PART)
    environment = {**os.environ, "KUBESWARM_STATE": str(state), "KUBESWARM_PORT_OFFSET": str(offset)}
    try:
        subprocess.run([*hack, "up", "--profile", "control-plane"], cwd=ROOT, env=environment, check=True)
        plane = ControlPlane(state)
        assert plane.version().startswith(f"v{asked_release()}."), "another release than KUBESWARM_KUBERNETES asks for"
        plane.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        wait_for_definitions(plane.kubectl)
        plane.apply(*_service_account())
        yield plane
    finally:
        subprocess.run([*hack, "down", "--profile", "control-plane", "--purge"], cwd=ROOT, env=environment, check=True)


def _rules(rules: tuple[Rule, ...]) -> list[dict[str, Any]]:
    return [{"apiGroups": [r.group], "resources": list(r.resources), "verbs": list(r.verbs)} for r in rules]


def _service_account() -> list[dict[str, Any]]:
    rbac, subject = "rbac.authorization.k8s.io", {"kind": "ServiceAccount", "name": "operator", "namespace": SYSTEM}
    meta = {"name": "kubeswarm-operator"}
    own = {"name": "kubeswarm-operator", "namespace": SYSTEM}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator", "namespace": SYSTEM}},
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": meta, "rules": _rules(WATCHED_RULES)},
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRoleBinding", "metadata": meta, "subjects": [subject],
         "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "kubeswarm-operator"}},
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": own, "rules": _rules(OWN_RULES)},
        {"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": own, "subjects": [subject],
         "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "kubeswarm-operator"}},
    ]  # fmt: skip


@pytest.fixture(scope="session")
def operator_kubeconfig(cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig of the operator's service account: what it lacks a right for fails in these tests."""
    token = cluster.kubectl("-n", SYSTEM, "create", "token", "operator", "--duration=4h").strip()
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"] = [{"name": "operator", "user": {"token": token}}]
    config["contexts"][0]["context"]["user"] = "operator"
    path = tmp_path_factory.mktemp("operator") / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)
    return path


@pytest.fixture
def namespace(cluster: ControlPlane) -> Iterator[str]:
    """A namespace of this test's own."""
    name = f"test-{next(_serial)}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("-n", name, "delete", "swarms,swarmnodes", "--all", "--wait=false")
    for each in cluster.items(name, "swarms"):
        cluster.patch(name, "swarm", each["metadata"]["name"], {"metadata": {"finalizers": None}})


Starter = Callable[..., OperatorProcess]


@pytest.fixture
def start(cluster: ControlPlane, operator_kubeconfig: Path, namespace: str, tmp_path: Path) -> Iterator[Starter]:
    """Starts operators that watch the test's namespace; more keyword arguments are their configuration's."""
    running: list[OperatorProcess] = []

    def start(leads: bool = True, kubeconfig: Path = operator_kubeconfig, **config: Any) -> OperatorProcess:
        number = next(_serial)
        path = tmp_path / f"operator-{number}.yaml"
        settings = {
            "images": {"worker": "kubeswarm/worker:dev"},
            "lease": {"name": f"kubeswarm-{namespace}", **LEASE},
            "namespaces": [namespace],
            "statusPollSeconds": 0.5,
            **config,
        }
        path.write_text(yaml.safe_dump(settings))
        log = tmp_path / f"operator-{number}.log"
        operator = OperatorProcess(
            kubeconfig, path, log, f"operator-{number}", OPERATOR_PORTS[number % len(OPERATOR_PORTS)]
        )
        running.append(operator)
        if leads:
            try:
                until(operator.leads, 30, "operator leads")
            except AssertionError as error:
                raise AssertionError(f"{error}; its log: {log.read_text()[-2000:]}") from None
        return operator

    yield start
    for operator in running:
        if operator.runs():
            operator.kill()


@pytest.fixture
def light(cluster: ControlPlane, namespace: str, start: Starter) -> None:
    """A Swarm of one Node whose head pod exists, and which no scheduler judges: the tests say what becomes of it."""
    cluster.provide_volumes(namespace, 1)  # or its claim is what is wrong, after a while
    start()
    cluster.apply(swarm(namespace, nodes=1, template=UNJUDGED))
    until(lambda: cluster.get(namespace, "pod", POD), 30, "the head pod")


@pytest.fixture
def make_light(cluster: ControlPlane, namespace: str, start: Starter) -> Callable[..., None]:
    """Starts an operator and a Swarm, and waits for the Swarm's Nodes with all their objects."""

    def make(nodes: int = 1, workers: int = 0, **changes: Any) -> None:
        start()
        cluster.apply(swarm(namespace, nodes=nodes, rollout={"workers": workers}, **changes))
        settle(cluster, namespace, all_expected(nodes, workers))

    return make


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """The file with the key of the operator's account on a chain."""
    path = tmp_path / "key"
    path.write_text(DEVELOPMENT_KEY)
    return path


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Server]:
    """A NATS server that is not started yet."""
    server = Server(ensure_programs(cache_folder(), ("nats-server",))["nats-server"], tmp_path)
    yield server
    server.stop(kill=True)


@pytest.fixture
def told(record_property: Callable[[str, object], None]) -> Told:
    """The clock of a failure."""
    return Told(record_property)


@pytest.fixture
def told_of(cluster: ControlPlane, namespace: str, told: Told) -> Callable[..., None]:
    """Waits until a condition of Node and Swarm gives a reason and words, in time, and Events of both tell it."""

    def wait(condition: str, reason: str, *words: str) -> None:
        for kind, name in LIGHT:
            found = told.told(
                lambda k=kind, n=name: cluster.reason(namespace, k, n, condition, reason), f"{reason} on the {kind}"
            )
            assert [word for word in words if word not in found["message"]] == []
        until(lambda: cluster.warned(namespace, reason) == {"Node", "Swarm"}, 10, "Events on both")

    return wait


@pytest.fixture
def worker() -> Iterator[Callable[[str], Worker]]:
    """Starts what answers for a pod's containers, on a loopback address of its own."""
    started: list[Worker] = []

    def start(address: str) -> Worker:
        started.append(Worker(address))
        return started[-1]

    yield start
    for each in started:
        each.stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says how long after its cause each failure was told."""
    reports = [each for key in ("passed", "failed") for each in terminalreporter.stats.get(key, [])]
    times = [(each.nodeid.rpartition("::")[2], value) for each in reports for name, value in each.user_properties
             if name == PROPERTY and each.when == "call"]  # fmt: skip
    if times:
        terminalreporter.section("seconds from cause to condition")
        for test, value in times:
            terminalreporter.write_line(f"{value}  ({test})")
