"""An upgrade of the resources' definitions, with objects that were stored before it."""

import json
import time
import urllib.error
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import yaml

from hack.cluster.definitions import wait_for_definitions
from kubeswarm_api.base import GROUP, VERSION
from tests.cluster.conftest import SYSTEM, Starter
from tests.cluster.control_plane import ROOT, ControlPlane, Refusal, until
from tests.cluster.manifests import POD, swarm
from tests.cluster.operator_process import OperatorProcess

#: A version of the API before ours; there was none yet.
BEFORE = "v1alpha0"
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
        rules = spec["x-kubernetes-validations"]
        spec["x-kubernetes-validations"] = [r for r in rules if not any(f"self.{name}" in r["rule"] for name in LATER)]
        spec["properties"]["rollout"]["properties"].pop("maxWorkers")
        spec["properties"]["rollout"].pop("x-kubernetes-validations")
    return out


def _in_two_versions(definition: dict[str, Any], stored: str) -> dict[str, Any]:
    """Served in the API's version before as well, whose fields are the same, and kept in one of the two."""
    out = deepcopy(definition)
    (current,) = out["spec"]["versions"]
    out["spec"]["versions"] = [
        {**deepcopy(current), "name": name, "storage": name == stored} for name in (current["name"], BEFORE)
    ]
    return out


def _install(cluster: ControlPlane, definitions: list[dict[str, Any]]) -> None:
    text = yaml.safe_dump_all(definitions)
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)
    wait_for_definitions(cluster.kubectl)
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


@pytest.fixture
def two_versions(cluster: ControlPlane) -> Iterator[None]:
    """Definitions in two versions of the API, with all objects kept in the one before."""
    _install(cluster, [_in_two_versions(each, stored=BEFORE) for each in _definitions()])
    yield
    _retire_before(cluster)


def _retire_before(cluster: ControlPlane) -> None:
    """By Kubernetes' own steps: what is written again is kept in today's version, and then the one before may go."""
    _install(cluster, [_in_two_versions(each, stored=VERSION) for each in _definitions()])
    until(lambda: _written_again(cluster), 30, "every object written again")
    for definition in _definitions():
        status = {"status": {"storedVersions": [VERSION]}}
        cluster.patch("", "crd", definition["metadata"]["name"], status, "--subresource=status")
    _install(cluster, _definitions())


def _written_again(cluster: ControlPlane) -> bool:
    """Whether all were, with nobody else at them meanwhile."""
    objects = cluster.kubectl("get", "swarms,swarmnodes", "--all-namespaces", "-o", "json")
    if json.loads(objects)["items"]:
        try:
            cluster.kubectl("replace", "-f", "-", stdin=objects)
        except Refusal:
            return False
    return True


@pytest.mark.usefixtures("two_versions")
def test_swarms_go_on_while_the_api_moves_from_one_version_to_another(
    cluster: ControlPlane, namespace: str, start: Starter
) -> None:
    """Made and kept in the version before, then kept in today's, then with the version before gone."""
    cluster.provide_volumes(namespace, 1)
    made = swarm(namespace, nodes=1, template=UNJUDGED)
    cluster.apply({**made, "apiVersion": f"{GROUP}/{BEFORE}"})
    operator = start()
    until(lambda: cluster.get(namespace, "pod", POD), 30, "its pod")
    cluster.run_pod(namespace, POD, "127.0.9.7")
    until(lambda: _status(cluster, namespace) == "True", 30, "ready")
    pod = cluster.get(namespace, "pod", POD)
    operator.stop()

    _install(cluster, [_in_two_versions(each, stored=VERSION) for each in _definitions()])
    operator = start()
    _takes_a_change(cluster, namespace, 0.0003)
    for name in (f"swarms.{BEFORE}.{GROUP}/light", f"swarmnodes.{BEFORE}.{GROUP}/light-0"):
        read = json.loads(cluster.kubectl("-n", namespace, "get", name, "-o", "json"))
        assert read["apiVersion"] == f"{GROUP}/{BEFORE}" and read["status"]["conditions"], "as an old client sees it"
        assert read["spec"]["algorithm"]["learningRate"] == 0.0003

    _retire_before(cluster)
    _takes_a_change(cluster, namespace, 0.0004)
    assert cluster.get(namespace, "pod", POD) == pod, "nothing happened to its pod"
    assert operator.runs()


def _takes_a_change(cluster: ControlPlane, namespace: str, rate: float) -> None:
    cluster.patch(namespace, "swarm", "light", {"spec": {"algorithm": {"learningRate": rate}}})

    def taken() -> bool:
        node = cluster.get(namespace, "swarmnode", "light-0") or {}
        whole = cluster.get(namespace, "swarm", "light") or {}
        seen = whole["status"]["observedGeneration"] == whole["metadata"]["generation"]
        return seen and node["spec"]["algorithm"]["learningRate"] == rate and _status(cluster, namespace) == "True"

    until(taken, 30, f"the Node has the learning rate {rate}")


def _status(cluster: ControlPlane, namespace: str) -> str | None:
    return (cluster.condition(namespace, "swarm", "light", "Ready") or {}).get("status")


@pytest.mark.usefixtures("before")
def test_an_operator_newer_than_the_definitions_waits_for_them_and_says_so(
    cluster: ControlPlane, namespace: str, start: Starter
) -> None:
    """Meanwhile it is not ready and takes no Lease, so that an upgrade leaves the one before at work."""
    operator = start(leads=False)
    waits = until(lambda: _said(operator), 30, "what it waits for, in its log")
    for word in (
        "swarms.kubeswarm.dev",
        "swarmnodes.kubeswarm.dev",
        "older than this operator",
        "spec.",
        "helm upgrade",
    ):
        assert word in waits
    with pytest.raises(urllib.error.HTTPError) as refused:
        operator.get("/readyz")
    assert refused.value.code == 503 and "older than this operator" in refused.value.read().decode()
    assert "ok" in operator.get("/healthz"), "nobody restarts it"
    cluster.apply(swarm(namespace, nodes=1, template=UNJUDGED))
    time.sleep(3)
    assert cluster.get(SYSTEM, "lease", f"kubeswarm-{namespace}") is None
    assert not cluster.items(namespace, "swarmnodes")
    _install(cluster, _definitions())
    until(operator.leads, 30, "it goes on once they are there")
    until(lambda: cluster.items(namespace, "swarmnodes"), 30, "and works")


def _said(operator: OperatorProcess) -> str:
    lines = [each for each in operator.log() if each["message"].startswith("waiting for the API server to serve")]
    return lines[-1].get("detail", "") if lines else ""


def test_a_field_that_a_running_operator_finds_gone_is_told(
    cluster: ControlPlane, namespace: str, start: Starter
) -> None:
    """Definitions that are taken back under it: the Swarm says which field and what to do."""
    start()
    _install(cluster, [_earlier(each) for each in _definitions()])
    try:
        cluster.apply(swarm(namespace, nodes=1, template=UNJUDGED))
        until(lambda: cluster.items(namespace, "swarmnodes"), 30, "its Node, without that field")
        cluster.patch(namespace, "swarm", "light", {"spec": {"rounds": 25}})
        degraded = until(
            lambda: cluster.reason(namespace, "swarm", "light", "Degraded", "DefinitionOutdated"), 30, "the reason"
        )
        assert "field not declared in schema" in degraded["message"] and "helm upgrade" in degraded["message"]
    finally:
        _install(cluster, _definitions())
    until(lambda: cluster.reason(namespace, "swarm", "light", "Degraded", "AsExpected"), 60, "mended")
