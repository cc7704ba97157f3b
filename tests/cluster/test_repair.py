"""What others do to the objects of a Swarm: undone where it is the operator's, left alone where it is theirs."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.children import CHILDREN, all_expected, expected, key_of, settle, when
from tests.cluster.conftest import Starter
from tests.cluster.control_plane import ControlPlane, until
from tests.cluster.manifests import node, swarm


def test_makes_again_what_was_deleted(cluster: ControlPlane, namespace: str, make_light: Callable[..., None]) -> None:
    make_light(workers=1)
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
    make_light: Callable[..., None],
    kind: str,
    name: str,
    edit: dict[str, Any],
) -> None:
    make_light(nodes=2 if kind == "pdb" else 1, workers=1)
    before = _owned_part(cluster.get(namespace, kind, name))
    cluster.patch(namespace, kind, name, edit)
    until(lambda: _owned_part(cluster.get(namespace, kind, name)) == before, 20, f"{kind} as it was")


def test_a_token_that_was_emptied_is_made_anew(
    cluster: ControlPlane, namespace: str, make_light: Callable[..., None]
) -> None:
    make_light()
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


def test_leaves_what_others_added(cluster: ControlPlane, namespace: str, make_light: Callable[..., None]) -> None:
    make_light()
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


def test_a_taken_name_is_told_and_left_alone(cluster: ControlPlane, namespace: str, start: Starter) -> None:
    cluster.apply(node(namespace, "light-0", swarm={"name": "other"}))
    start()
    cluster.apply(swarm(namespace, nodes=2))
    condition = until(lambda: when(cluster, namespace, "swarm", "light", "Degraded", "NameTaken"), 20, "NameTaken")
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
    told = until(lambda: when(cluster, namespace, "swarmnode", "light-0", "Degraded", "NameTaken"), 20, "NameTaken")
    assert f"{kind} {names[kind]} exists and belongs to somebody else" in told["message"]
    assert cluster.get(namespace, kind, names[kind]) == before
    cluster.kubectl("-n", namespace, "delete", kind, names[kind])
    until(lambda: cluster.get(namespace, "pod", "light-0-head-0"), 40, "the rest")
    until(lambda: not when(cluster, namespace, "swarmnode", "light-0", "Degraded", "NameTaken"), 20, "no complaint")


def test_a_field_that_is_no_longer_wanted_goes(
    cluster: ControlPlane, namespace: str, make_light: Callable[..., None]
) -> None:
    make_light(template={"head": {"spec": {"priorityClassName": None, "nodeSelector": {"disk": "fast"}}}})
    until(lambda: _selector(cluster, namespace) == {"disk": "fast"}, 10, "the selector")
    cluster.patch(namespace, "swarm", "light", {"spec": {"template": {"head": {"spec": {"nodeSelector": None}}}}})
    until(lambda: _selector(cluster, namespace) is None, 20, "no selector")


def _selector(cluster: ControlPlane, namespace: str) -> dict[str, str] | None:
    live = cluster.get(namespace, "sts", "light-0-head")
    assert live is not None
    return live["spec"]["template"]["spec"].get("nodeSelector")


def test_an_identity_is_let_go_and_taken_back(
    cluster: ControlPlane, namespace: str, make_light: Callable[..., None]
) -> None:
    make_light(identity={"retain": False})
    before = key_of(cluster, namespace, "light-0")
    cluster.apply(swarm(namespace, nodes=1, identity={"retain": True}))
    until(lambda: not _identity_owners(cluster, namespace), 20, "no owner")
    cluster.apply(swarm(namespace, nodes=1, identity={"retain": False}))
    until(lambda: _identity_owners(cluster, namespace), 20, "an owner")
    assert key_of(cluster, namespace, "light-0") == before


def _identity_owners(cluster: ControlPlane, namespace: str) -> list[Any]:
    live = cluster.get(namespace, "secret", "light-0-identity")
    assert live is not None
    return live["metadata"].get("ownerReferences", [])
