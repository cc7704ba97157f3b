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

from hack.cluster.settings import COUNTED
from kubeswarm_operator.permissions import OWN_RULES, WATCHED_RULES, Rule
from tests.cluster.control_plane import ROOT, ControlPlane, OperatorProcess, until

#: Which of the two processes this is that the tests are spread over: their ports lie apart.
HALF = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 2
SYSTEM = COUNTED
_serial = itertools.count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[ControlPlane]:
    """The control plane, with the CRDs and the operator's service account in it."""
    state = Path(tempfile.mkdtemp(prefix="kubeswarm-control-plane-"))  # pytest's own may go while others run
    hack = [sys.executable, "-m", "hack.cluster"]
    offset = 1000 + 100 * (2 * secrets.randbelow(50) + HALF)  # several sessions may run on one machine
    environment = {**os.environ, "KUBESWARM_STATE": str(state), "KUBESWARM_PORT_OFFSET": str(offset)}
    try:
        subprocess.run([*hack, "up", "--profile", "control-plane"], cwd=ROOT, env=environment, check=True)
        plane = ControlPlane(state)
        plane.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
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
    for swarm in cluster.items(name, "swarms"):
        cluster.patch(name, "swarm", swarm["metadata"]["name"], {"metadata": {"finalizers": None}})


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
            "lease": {"name": f"kubeswarm-{namespace}", "durationSeconds": 5, "renewSeconds": 1},
            "namespaces": [namespace],
            "statusPollSeconds": 0.5,
            **config,
        }
        path.write_text(yaml.safe_dump(settings))
        log = tmp_path / f"operator-{number}.log"
        operator = OperatorProcess(kubeconfig, path, log, f"operator-{number}", 22000 + 450 * HALF + number % 450)
        running.append(operator)
        if leads:
            until(operator.leads, 30, f"operator leads; its log: {log.read_text()[-2000:]}")
        return operator

    yield start
    for operator in running:
        if operator.process.poll() is None:
            operator.kill()
