"""The operator as a process against a real API server: what it makes, keeps, changes and takes away."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.conftest import Starter
from tests.cluster.control_plane import ControlPlane, until
from tests.cluster.manifests import node, swarm

#: Longer than a status that only tells of progress waits to be written.
QUIET_SECONDS = 10.0
CHILDREN = "statefulsets,deployments,services,configmaps,secrets,pvc,networkpolicies,pdb,swarmnodes"


def expected(name: str, workers: int = 0) -> set[str]:
    """What a Node has, itself included."""
    made = {
        f"Node/{name}",
        f"StatefulSet/{name}-head",
        f"Service/{name}-head",
        f"NetworkPolicy/{name}-head",
        f"ConfigMap/{name}-config",
        f"PersistentVolumeClaim/{name}-data",
        f"Secret/{name}-identity",
        f"Secret/{name}-ray",
    }
    return made | ({f"Deployment/{name}-rollout", f"NetworkPolicy/{name}-rollout"} if workers else set())


def all_expected(nodes: int, workers: int = 0) -> set[str]:
    """What a Swarm has."""
    budget = {"PodDisruptionBudget/light-heads"} if nodes > 1 else set[str]()
    return budget.union(*(expected(f"light-{index}", workers) for index in range(nodes)))


def ours(cluster: ControlPlane, namespace: str) -> set[str]:
    """What is there, without what Kubernetes puts into every namespace."""
    return cluster.names(namespace, CHILDREN) - {"ConfigMap/kube-root-ca.crt"}


def settle(cluster: ControlPlane, namespace: str, wanted: set[str], seconds: float = 30) -> None:
    """Waits until exactly this is there."""
    try:
        until(lambda: ours(cluster, namespace) == wanted, seconds, "the wanted objects")
    except AssertionError:
        assert ours(cluster, namespace) == wanted
        raise


def versions(cluster: ControlPlane, namespace: str) -> dict[str, str]:
    """Each object's resourceVersion."""
    return {
        f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
        for item in cluster.items(namespace, CHILDREN + ",swarms,pods")
    }


@pytest.fixture
def light(cluster: ControlPlane, namespace: str, start: Starter) -> Callable[..., None]:
    """Starts an operator and a Swarm, and waits for the Swarm's Nodes with all their objects."""

    def light(nodes: int = 1, workers: int = 0, **changes: Any) -> None:
        start()
        cluster.apply(swarm(namespace, nodes=nodes, rollout={"workers": workers}, **changes))
        settle(cluster, namespace, all_expected(nodes, workers))

    return light


def test_makes_nodes_with_all_their_objects_and_then_writes_nothing(
    cluster: ControlPlane, namespace: str, light: Callable[..., None]
) -> None:
    light(nodes=2, workers=1)
    made = cluster.get(namespace, "swarmnode", "light-1")
    assert made is not None
    assert made["spec"]["swarm"] == {"name": "light"}
    assert made["spec"]["index"] == 1
    assert made["spec"]["environment"]["reasoningGym"]["items"] == 2000
    condition = until(
        lambda: _when(cluster, namespace, "swarm", "light", "Ready", "Unschedulable"), 30, "the scheduler's reason"
    )
    assert "pod light-0-head-0" in condition["message"]
    assert "spec.template" in condition["message"]
    before, written = _at_rest(cluster, namespace), len(_writes(cluster, namespace))
    time.sleep(QUIET_SECONDS)
    assert versions(cluster, namespace) == before
    assert len(_writes(cluster, namespace)) == written


def test_each_object_is_written_once(cluster: ControlPlane, namespace: str, light: Callable[..., None]) -> None:
    light(workers=1)
    until(lambda: _when(cluster, namespace, "swarm", "light", "Ready", "Unschedulable"), 30, "a settled status")
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


def _when(cluster: ControlPlane, namespace: str, kind: str, name: str, type: str, reason: str) -> dict[str, Any] | None:
    condition = cluster.condition(namespace, kind, name, type)
    return condition if condition and condition["reason"] == reason else None


def _writes(cluster: ControlPlane, namespace: str) -> list[dict[str, Any]]:
    return [
        event
        for event in cluster.writes()
        if event["objectRef"].get("namespace") == namespace and event["objectRef"]["resource"] != "leases"
    ]


def test_makes_again_what_was_deleted(cluster: ControlPlane, namespace: str, light: Callable[..., None]) -> None:
    light(workers=1)
    before = {name: uid for name, uid in _uids(cluster, namespace).items() if not name.startswith("Secret/light-0-id")}
    for name in before:
        cluster.kubectl("-n", namespace, "delete", name.replace("Node/", "swarmnode/"), "--wait=false")
    settle(cluster, namespace, expected("light-0", 1))
    until(lambda: not set(before.values()) & set(_uids(cluster, namespace).values()), 20, "all made anew")


def _uids(cluster: ControlPlane, namespace: str) -> dict[str, str]:
    found = cluster.items(namespace, CHILDREN)
    uids = {f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["uid"] for item in found}
    uids.pop("ConfigMap/kube-root-ca.crt")
    return uids


@pytest.mark.parametrize(
    ("kind", "name", "edit"),
    [
        ("statefulset", "light-0-head", {"spec": {"replicas": 0}}),
        ("statefulset", "light-0-head", {"metadata": {"ownerReferences": None}}),
        ("deployment", "light-0-rollout", {"spec": {"replicas": 9}}),
        ("service", "light-0-head", {"spec": {"publishNotReadyAddresses": False}}),
        ("configmap", "light-0-config", {"data": {"node.json": "{}"}}),
        ("networkpolicy", "light-0-head", {"spec": {"ingress": None}}),
        ("pdb", "light-heads", {"spec": {"maxUnavailable": 0}}),
        ("secret", "light-0-ray", {"metadata": {"labels": {"kubeswarm.dev/node": None}}}),
        ("pdb", "light-heads", {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}),
        ("swarmnode", "light-0", {"spec": {"rounds": 3}}),
    ],
)
def test_undoes_an_edit(
    cluster: ControlPlane,
    namespace: str,
    light: Callable[..., None],
    kind: str,
    name: str,
    edit: dict[str, Any],
) -> None:
    light(nodes=2 if kind == "pdb" else 1, workers=1)
    before = _owned_part(cluster.get(namespace, kind, name))
    cluster.patch(namespace, kind, name, edit)
    until(lambda: _owned_part(cluster.get(namespace, kind, name)) == before, 20, f"{kind} as it was")


def test_a_token_that_was_emptied_is_made_anew(
    cluster: ControlPlane, namespace: str, light: Callable[..., None]
) -> None:
    light()
    before = cluster.get(namespace, "secret", "light-0-ray") or {}
    cluster.patch(namespace, "secret", "light-0-ray", {"data": None})

    def token() -> str | None:
        live = cluster.get(namespace, "secret", "light-0-ray") or {}
        return (live.get("data") or {}).get("token")

    assert until(token, 20, "another token") != before["data"]["token"]


def _owned_part(live: dict[str, Any] | None) -> dict[str, Any]:
    assert live is not None
    meta = {key: live["metadata"].get(key) for key in ("labels", "ownerReferences")}
    return {"spec": live.get("spec"), "data": live.get("data"), "metadata": meta}


def test_leaves_what_others_added(cluster: ControlPlane, namespace: str, light: Callable[..., None]) -> None:
    light()
    cluster.kubectl("-n", namespace, "annotate", "service/light-0-head", "example.com/note=mine")
    cluster.kubectl("-n", namespace, "label", "statefulset/light-0-head", "team=a")
    cluster.apply(swarm(namespace, nodes=1, rounds=48))
    until(lambda: _node_rounds(cluster, namespace) == 48, 20, "the change")
    time.sleep(1)
    service, head = cluster.get(namespace, "service", "light-0-head"), cluster.get(namespace, "sts", "light-0-head")
    assert service and service["metadata"]["annotations"]["example.com/note"] == "mine"
    assert head and head["metadata"]["labels"]["team"] == "a"


def _node_rounds(cluster: ControlPlane, namespace: str) -> int | None:
    live = cluster.get(namespace, "swarmnode", "light-0")
    return live["spec"]["rounds"] if live else None


def test_scales_nodes(cluster: ControlPlane, namespace: str, light: Callable[..., None]) -> None:
    light(nodes=2)
    key = _key(cluster, namespace, "light-2")
    assert key is None
    cluster.kubectl("-n", namespace, "scale", "swarm/light", "--replicas=3")
    settle(cluster, namespace, all_expected(3))
    key = _key(cluster, namespace, "light-2")
    cluster.kubectl("-n", namespace, "scale", "swarm/light", "--replicas=1")
    kept = {"Secret/light-1-identity", "Secret/light-2-identity"}
    settle(cluster, namespace, expected("light-0") | kept)
    cluster.kubectl("-n", namespace, "scale", "swarm/light", "--replicas=3")
    settle(cluster, namespace, all_expected(3))
    assert key is not None
    assert _key(cluster, namespace, "light-2") == key, "the Node comes back with its identity"


def _key(cluster: ControlPlane, namespace: str, node: str) -> str | None:
    live = cluster.get(namespace, "secret", f"{node}-identity")
    return live["data"]["key"] if live else None


def test_scales_rollout_pods_without_touching_the_head(
    cluster: ControlPlane, namespace: str, light: Callable[..., None]
) -> None:
    light(workers=1)
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


def test_a_changed_spec_replaces_the_head(cluster: ControlPlane, namespace: str, light: Callable[..., None]) -> None:
    light()
    before = _uid(cluster, namespace, "pod", "light-0-head-0")
    template = {"head": {"spec": {"containers": [{"name": "trainer", "env": [{"name": "A", "value": "1"}]}]}}}
    cluster.apply(swarm(namespace, nodes=1, algorithm={"learningRate": 0.001}, template=template))
    until(lambda: _uid(cluster, namespace, "pod", "light-0-head-0") not in (None, before), 30, "another head pod")
    pod = cluster.get(namespace, "pod", "light-0-head-0")
    assert pod and {"name": "A", "value": "1"} in pod["spec"]["containers"][0]["env"]


def _uid(cluster: ControlPlane, namespace: str, kind: str, name: str) -> str | None:
    live = cluster.get(namespace, kind, name)
    return live["metadata"]["uid"] if live else None


def test_suspends_and_resumes(cluster: ControlPlane, namespace: str, light: Callable[..., None]) -> None:
    light(workers=1)
    until(lambda: len(cluster.items(namespace, "pods")) == 2, 20, "both pods")
    cluster.apply(swarm(namespace, nodes=1, rollout={"workers": 1}, suspend=True))
    until(lambda: not cluster.items(namespace, "pods"), 30, "no pods")
    until(lambda: _when(cluster, namespace, "swarm", "light", "Ready", "Suspended"), 20, "the reason")
    assert ours(cluster, namespace) == expected("light-0", 1)
    cluster.apply(swarm(namespace, nodes=1, rollout={"workers": 1}))
    until(lambda: len(cluster.items(namespace, "pods")) == 2, 20, "both pods again")


@pytest.mark.parametrize("retain", [True, False])
def test_deletes_everything_but_the_identity(
    cluster: ControlPlane, namespace: str, light: Callable[..., None], retain: bool
) -> None:
    light(nodes=2, identity={"retain": retain})
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
    until(lambda: _when(cluster, namespace, "swarm", "light", "Ready", "Unschedulable"), 30, "a settled status")
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


def test_a_taken_name_is_told_and_left_alone(cluster: ControlPlane, namespace: str, start: Starter) -> None:
    cluster.apply(node(namespace, "light-0", swarm={"name": "other"}))
    start()
    cluster.apply(swarm(namespace, nodes=2))
    condition = until(lambda: _when(cluster, namespace, "swarm", "light", "Degraded", "NameTaken"), 20, "NameTaken")
    assert "light-0" in condition["message"]
    alone = cluster.condition(namespace, "swarmnode", "light-0", "Degraded")
    assert alone and alone["reason"] == "SwarmNotFound"
    cluster.kubectl("-n", namespace, "delete", "swarmnode/light-0")
    settle(cluster, namespace, all_expected(2))


@pytest.mark.parametrize("kind", ["Service", "ConfigMap", "Secret"])
def test_never_touches_what_is_somebody_elses(cluster: ControlPlane, namespace: str, start: Starter, kind: str) -> None:
    names = {"Service": "light-0-head", "ConfigMap": "light-0-config", "Secret": "light-0-exchange"}
    spec = {"Service": {"spec": {"ports": [{"port": 80}]}}, "ConfigMap": {"data": {"mine": "1"}}, "Secret": {}}[kind]
    metadata = {"name": names[kind], "namespace": namespace}
    cluster.apply({"apiVersion": "v1", "kind": kind, "metadata": metadata, **spec})
    before = cluster.get(namespace, kind, names[kind])
    start(exchange={"url": "nats://127.0.0.1:9", "secret": f"exchange-{namespace}"})
    cluster.apply(swarm(namespace, nodes=1))
    told = until(lambda: _when(cluster, namespace, "swarmnode", "light-0", "Degraded", "NameTaken"), 20, "NameTaken")
    assert f"{kind} {names[kind]} exists and belongs to somebody else" in told["message"]
    assert cluster.get(namespace, kind, names[kind]) == before
    cluster.kubectl("-n", namespace, "delete", kind, names[kind])
    until(lambda: cluster.get(namespace, "pod", "light-0-head-0"), 40, "the rest")
    until(lambda: not _when(cluster, namespace, "swarmnode", "light-0", "Degraded", "NameTaken"), 20, "no complaint")


def test_a_field_that_is_no_longer_wanted_goes(
    cluster: ControlPlane, namespace: str, light: Callable[..., None]
) -> None:
    light(template={"head": {"spec": {"priorityClassName": None, "nodeSelector": {"disk": "fast"}}}})
    until(lambda: _selector(cluster, namespace) == {"disk": "fast"}, 10, "the selector")
    cluster.patch(namespace, "swarm", "light", {"spec": {"template": {"head": {"spec": {"nodeSelector": None}}}}})
    until(lambda: _selector(cluster, namespace) is None, 20, "no selector")


def _selector(cluster: ControlPlane, namespace: str) -> dict[str, str] | None:
    live = cluster.get(namespace, "sts", "light-0-head")
    assert live is not None
    return live["spec"]["template"]["spec"].get("nodeSelector")


def test_an_identity_is_let_go_and_taken_back(
    cluster: ControlPlane, namespace: str, light: Callable[..., None]
) -> None:
    light(identity={"retain": False})
    before = _key(cluster, namespace, "light-0")
    cluster.apply(swarm(namespace, nodes=1, identity={"retain": True}))
    until(lambda: not _identity_owners(cluster, namespace), 20, "no owner")
    cluster.apply(swarm(namespace, nodes=1, identity={"retain": False}))
    until(lambda: _identity_owners(cluster, namespace), 20, "an owner")
    assert _key(cluster, namespace, "light-0") == before


def _identity_owners(cluster: ControlPlane, namespace: str) -> list[Any]:
    live = cluster.get(namespace, "secret", "light-0-identity")
    assert live is not None
    return live["metadata"].get("ownerReferences", [])


def test_pods_are_restricted(cluster: ControlPlane, namespace: str, light: Callable[..., None]) -> None:
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    light(workers=1)
    assert until(lambda: len(cluster.items(namespace, "pods")) == 2, 20, "both pods admitted")
