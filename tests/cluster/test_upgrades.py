"""An upgrade of the resources' definitions, with objects that were stored before it."""

import time
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import Starter
from tests.cluster.control_plane import ROOT, ControlPlane, until
from tests.cluster.manifests import swarm

#: Fields that an earlier version did not have: a definition without them stores objects as that version did.
LATER = ("update", "stopWhen", "failurePolicy", "ttlSecondsAfterFinished", "async")
UNJUDGED = {role: {"spec": {"schedulerName": "nobody"}} for role in ("head", "rollout")}


def _definitions() -> list[dict[str, Any]]:
    return [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml"))]


def _earlier(definition: dict[str, Any]) -> dict[str, Any]:
    """As it was before those fields."""
    out = deepcopy(definition)
    for version in out["spec"]["versions"]:
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        for name in LATER:
            spec["properties"].pop(name, None)
        spec["properties"]["rollout"]["properties"].pop("maxWorkers")
        spec["properties"]["rollout"].pop("x-kubernetes-validations")
    return out


def _install(cluster: ControlPlane, definitions: list[dict[str, Any]]) -> None:
    text = yaml.safe_dump_all(definitions)
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    time.sleep(2)  # a new schema is served a moment after it is established, and nothing tells


@pytest.fixture
def before(cluster: ControlPlane) -> Iterator[None]:
    """The definitions of the version before."""
    _install(cluster, [_earlier(each) for each in _definitions()])
    yield
    _install(cluster, _definitions())


@pytest.mark.usefixtures("before")
def test_a_swarm_stored_by_the_version_before_is_reconciled(
    cluster: ControlPlane, namespace: str, start: Starter
) -> None:
    cluster.provide_volumes(namespace, 1)
    cluster.apply(swarm(namespace, nodes=1, rollout={"workers": 1}, template=UNJUDGED))
    stored = cluster.get(namespace, "swarm", "light")
    assert stored and "update" not in stored["spec"], "as the version before stored it"
    _install(cluster, _definitions())
    read = cluster.get(namespace, "swarm", "light")
    assert read and read["spec"]["update"]["maxUnavailable"] == 1, "a later version's default is filled in"
    start()
    until(lambda: len(cluster.items(namespace, "pods")) == 2, 30, "its pods")
    for pod in cluster.items(namespace, "pods"):
        cluster.run_pod(namespace, pod["metadata"]["name"], "127.0.9.7")
    until(lambda: _status(cluster, namespace) == "True", 30, "ready")


def _status(cluster: ControlPlane, namespace: str) -> str | None:
    return (cluster.condition(namespace, "swarm", "light", "Ready") or {}).get("status")
