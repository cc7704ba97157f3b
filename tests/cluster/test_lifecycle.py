"""The operator as a process against a real API server: what it makes, changes and takes away."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.children import all_expected, expected, key_of, ours, settle, versions, when
from tests.cluster.conftest import Starter
from tests.cluster.control_plane import ControlPlane, until
from tests.cluster.manifests import swarm

#: Longer than a status that only tells of progress waits to be written.
QUIET_SECONDS = 10.0


def test_makes_nodes_with_all_their_objects_and_then_writes_nothing(
    cluster: ControlPlane, namespace: str, make_light: Callable[..., None]
) -> None:
    make_light(nodes=2, workers=1)
    made = cluster.get(namespace, "swarmnode", "light-1")
    assert made is not None
    assert made["spec"]["swarm"] == {"name": "light"}
    assert made["spec"]["index"] == 1
    assert made["spec"]["environment"]["reasoningGym"]["items"] == 2000
    condition = until(
        lambda: when(cluster, namespace, "swarm", "light", "Ready", "Unschedulable"), 30, "the scheduler's reason"
    )
    assert "pod light-0-head-0" in condition["message"]
    assert "spec.template" in condition["message"]
    before, written = _at_rest(cluster, namespace), len(_writes(cluster, namespace))
    time.sleep(QUIET_SECONDS)
    assert versions(cluster, namespace) == before
    assert len(_writes(cluster, namespace)) == written


def test_each_object_is_written_once(cluster: ControlPlane, namespace: str, make_light: Callable[..., None]) -> None:
    make_light(workers=1)
    until(lambda: when(cluster, namespace, "swarm", "light", "Ready", "Unschedulable"), 30, "a settled status")
    time.sleep(2)
    writes = Counter(
        (event["objectRef"]["resource"], event["objectRef"].get("name", ""), event["objectRef"].get("subresource", ""))
        for event in _writes(cluster, namespace)
        if event["objectRef"]["resource"] != "events"
    )
    repeated = {key: count for key, count in writes.items() if count > 1 and key[2] != "status"}
    assert repeated == {}
    # a status is written for each stage that somebody could see; a slow machine shows more of them
    assert sum(count for key, count in writes.items() if key[2] == "status") <= 10, writes


def _writes(cluster: ControlPlane, namespace: str) -> list[dict[str, Any]]:
    return [
        event
        for event in cluster.writes()
        if event["objectRef"].get("namespace") == namespace and event["objectRef"]["resource"] != "leases"
    ]


def test_scales_nodes(cluster: ControlPlane, namespace: str, make_light: Callable[..., None]) -> None:
    make_light(nodes=2)
    key = key_of(cluster, namespace, "light-2")
    assert key is None
    cluster.kubectl("-n", namespace, "scale", "swarm/light", "--replicas=3")
    settle(cluster, namespace, all_expected(3))
    key = key_of(cluster, namespace, "light-2")
    cluster.kubectl("-n", namespace, "scale", "swarm/light", "--replicas=1")
    kept = {"Secret/light-1-identity", "Secret/light-2-identity"}
    settle(cluster, namespace, expected("light-0") | kept)
    cluster.kubectl("-n", namespace, "scale", "swarm/light", "--replicas=3")
    settle(cluster, namespace, all_expected(3))
    assert key is not None
    assert key_of(cluster, namespace, "light-2") == key, "the Node comes back with its identity"


def test_scales_rollout_pods_without_touching_the_head(
    cluster: ControlPlane, namespace: str, make_light: Callable[..., None]
) -> None:
    make_light(workers=1)
    before = cluster.get(namespace, "sts", "light-0-head")
    assert before is not None
    cluster.apply(swarm(namespace, nodes=1, rollout={"workers": 3}))
    until(lambda: _replicas(cluster, namespace) == 3, 20, "three rollout pods wanted")
    config = cluster.get(namespace, "configmap", "light-0-config")
    assert config and '"workers":3' in config["data"]["node.json"]
    after = cluster.get(namespace, "sts", "light-0-head")
    assert after and after["spec"] == before["spec"]
    cluster.apply(swarm(namespace, nodes=1, rollout={"workers": 0}))
    settle(cluster, namespace, expected("light-0"))


def _replicas(cluster: ControlPlane, namespace: str) -> int | None:
    live = cluster.get(namespace, "deployment", "light-0-rollout")
    return live["spec"]["replicas"] if live else None


def test_a_changed_spec_replaces_the_head(
    cluster: ControlPlane, namespace: str, make_light: Callable[..., None]
) -> None:
    make_light()
    before = _uid(cluster, namespace, "pod", "light-0-head-0")
    template = {"head": {"spec": {"containers": [{"name": "trainer", "env": [{"name": "A", "value": "1"}]}]}}}
    cluster.apply(swarm(namespace, nodes=1, algorithm={"learningRate": 0.001}, template=template))
    until(lambda: _uid(cluster, namespace, "pod", "light-0-head-0") not in (None, before), 30, "another head pod")
    pod = cluster.get(namespace, "pod", "light-0-head-0")
    assert pod and {"name": "A", "value": "1"} in pod["spec"]["containers"][0]["env"]


def _uid(cluster: ControlPlane, namespace: str, kind: str, name: str) -> str | None:
    live = cluster.get(namespace, kind, name)
    return live["metadata"]["uid"] if live else None


def test_suspends_and_resumes(cluster: ControlPlane, namespace: str, make_light: Callable[..., None]) -> None:
    make_light(workers=1)
    until(lambda: len(cluster.items(namespace, "pods")) == 2, 20, "both pods")
    cluster.apply(swarm(namespace, nodes=1, rollout={"workers": 1}, suspend=True))
    until(lambda: not cluster.items(namespace, "pods"), 30, "no pods")
    until(lambda: when(cluster, namespace, "swarm", "light", "Ready", "Suspended"), 20, "the reason")
    assert ours(cluster, namespace) == expected("light-0", 1)
    cluster.apply(swarm(namespace, nodes=1, rollout={"workers": 1}))
    until(lambda: len(cluster.items(namespace, "pods")) == 2, 20, "both pods again")


@pytest.mark.parametrize("retain", [True, False])
def test_deletes_everything_but_the_identity(
    cluster: ControlPlane, namespace: str, make_light: Callable[..., None], retain: bool
) -> None:
    make_light(nodes=2, identity={"retain": retain})
    cluster.kubectl("-n", namespace, "delete", "swarm/light", "--timeout=30s")
    kept = {"Secret/light-0-identity", "Secret/light-1-identity"} if retain else set()
    settle(cluster, namespace, kept)


def _at_rest(cluster: ControlPlane, namespace: str) -> dict[str, str]:
    """The versions of all objects, once none has changed for QUIET_SECONDS."""
    seen, since = versions(cluster, namespace), time.monotonic()

    def look() -> dict[str, str] | None:
        nonlocal seen, since
        now = versions(cluster, namespace)
        if now != seen:
            seen, since = now, time.monotonic()
        return seen if time.monotonic() - since > QUIET_SECONDS else None

    return until(look, 60, "an end of changes")


def test_a_restart_changes_nothing(cluster: ControlPlane, namespace: str, start: Starter) -> None:
    first = start()
    cluster.apply(swarm(namespace, nodes=2, rollout={"workers": 1}))
    settle(cluster, namespace, all_expected(2, 1))
    until(lambda: when(cluster, namespace, "swarm", "light", "Ready", "Unschedulable"), 30, "a settled status")
    before, written = _at_rest(cluster, namespace), len(_writes(cluster, namespace))
    assert first.stop() == 0
    start()
    time.sleep(QUIET_SECONDS)
    assert versions(cluster, namespace) == before
    assert len(_writes(cluster, namespace)) == written


def test_what_changed_while_nobody_looked_is_done(cluster: ControlPlane, namespace: str, start: Starter) -> None:
    start().kill()
    cluster.apply(swarm(namespace, nodes=2))
    start()
    settle(cluster, namespace, all_expected(2))


def test_pods_are_restricted(cluster: ControlPlane, namespace: str, make_light: Callable[..., None]) -> None:
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    make_light(workers=1)
    assert until(lambda: len(cluster.items(namespace, "pods")) == 2, 20, "both pods admitted")
