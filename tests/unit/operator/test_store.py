"""The store of watched objects."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_operator.observe.store import Store
from kubeswarm_operator.resources import NODES, PODS, SECRETS, SERVICES


def body(name: str = "s", uid: str = "u1", version: int = 1, node: str = "n", **more: Any) -> dict[str, Any]:
    meta = {"namespace": "ns", "name": name, "uid": uid, "resourceVersion": str(version)}
    return {"kind": "Service", "metadata": {**meta, "labels": {"kubeswarm.dev/node": node}}, **more}


def test_older_versions_are_ignored() -> None:
    store = Store()
    assert store.put(SERVICES, body(version=10))
    assert not store.put(SERVICES, body(version=9))
    assert not store.put(SERVICES, body(version=10))
    assert store.put(SERVICES, body(version=100)), "versions are numbers, not text"
    assert store.put(SERVICES, body(uid="u2", version=1)), "another object of the same name"


def test_a_deleted_object_does_not_come_back() -> None:
    store = Store()
    store.put(SERVICES, body(version=1))
    store.remove(SERVICES, body(version=5))
    assert not store.put(SERVICES, body(version=4))
    assert store.get(SERVICES, "ns", "s") is None
    assert store.put(SERVICES, body(version=6)), "it had only lost the label that it is watched by"


def test_the_end_of_a_former_object_does_not_end_its_successor() -> None:
    store = Store()
    store.put(SERVICES, body(uid="u2", version=5))
    store.remove(SERVICES, body(uid="u1", version=1))
    assert store.get(SERVICES, "ns", "s")


def test_no_content_of_a_secret_is_kept() -> None:
    store = Store()
    store.put(SECRETS, body(data={"key": "c2VjcmV0"}))
    assert store.get(SECRETS, "ns", "s") == body(data={"key": ""})


def test_a_pods_spec_is_not_kept() -> None:
    store = Store()
    store.put(PODS, body(spec={"nodeName": "n1", "containers": [{"name": "c"}]}))
    assert store.of_node(PODS, "ns", "n")[0]["spec"] == {"nodeName": "n1"}


def test_nodes_are_found_by_their_swarm() -> None:
    store = Store()
    store.put(NODES, body("a", "u1", spec={"swarm": {"name": "light"}}))
    store.put(NODES, body("b", "u2", spec={"swarm": {"join": {}}}))
    assert [each["metadata"]["name"] for each in store.of_swarm("ns", "light")] == ["a"]


def test_a_sweep_finds_what_vanished_and_spares_what_came() -> None:
    store = Store()
    store.put(SERVICES, body("vanished", "u1", version=3))
    store.put(SERVICES, body("stays", "u2", version=4))
    store.put(SERVICES, body("came", "u3", version=6))
    assert not store.sweep(SERVICES, "other", set(), 5), "a listing of another namespace says nothing of these"
    vanished = store.sweep(SERVICES, "ns", {"u2"}, 5)
    assert [each["metadata"]["name"] for each in vanished] == ["vanished"]
    assert {each["metadata"]["name"] for each in store.all(SERVICES)} == {"stays", "came"}


events = st.lists(
    st.tuples(
        st.sampled_from(["put", "remove"]),
        st.sampled_from("ab"),
        st.integers(1, 3),
        st.integers(1, 9),
        st.sampled_from("xy"),
    )
)


@given(events)
def test_indices_always_agree_with_the_objects(steps: list[tuple[str, str, int, int, str]]) -> None:
    store = Store()
    for what, name, uid, version, node in steps:
        one = body(name, f"{name}{uid}", version, node)
        (store.put if what == "put" else store.remove)(SERVICES, one)
    for node in "xy":
        by_label = {each["metadata"]["name"] for each in store.of_node(SERVICES, "ns", node)}
        scanned = {
            each["metadata"]["name"]
            for each in store.all(SERVICES)
            if each["metadata"]["labels"]["kubeswarm.dev/node"] == node
        }
        assert by_label == scanned
