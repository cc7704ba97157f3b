"""Strategic merge of pod settings."""

from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_operator.build.merge import merge_pod_spec

BUILT: dict[str, Any] = {
    "containers": [
        {
            "name": "trainer",
            "image": "worker",
            "env": [{"name": "HOME", "value": "/tmp"}, {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}],
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            "ports": [{"containerPort": 9090, "protocol": "TCP"}],
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
        }
    ],
    "initContainers": [{"name": "attestor", "image": "worker", "restartPolicy": "Always"}],
    "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "tmp", "emptyDir": {}}],
    "securityContext": {"runAsUser": 65532},
}

names = st.sampled_from(["trainer", "attestor", "data", "tmp", "other"])
scalars = st.one_of(st.none(), st.booleans(), st.integers(0, 9), names)
containers = st.lists(
    st.fixed_dictionaries(
        {"name": names},
        optional={
            "image": names,
            "env": st.lists(
                st.fixed_dictionaries({"name": names, "value": names}), max_size=3, unique_by=lambda e: e["name"]
            ),
            "resources": st.dictionaries(st.sampled_from(["limits", "requests"]), st.dictionaries(names, scalars)),
        },
    ),
    max_size=3,
    unique_by=lambda c: str(c["name"]),
)
patches = st.fixed_dictionaries(
    {}, optional={"containers": containers, "nodeSelector": st.dictionaries(names, names), "priority": scalars}
)


def test_containers_merge_by_name_and_new_ones_are_added() -> None:
    merged = merge_pod_spec(
        BUILT, {"containers": [{"name": "side", "image": "s"}, {"name": "trainer", "image": "mine"}]}
    )
    assert [(each["name"], each["image"]) for each in merged["containers"]] == [("trainer", "mine"), ("side", "s")]
    assert merged["containers"][0]["env"] == BUILT["containers"][0]["env"]


def test_an_attestor_among_the_containers_means_the_sidecar() -> None:
    merged = merge_pod_spec(BUILT, {"containers": [{"name": "attestor", "image": "mine"}]})
    assert [each["name"] for each in merged["containers"]] == ["trainer"]
    assert merged["initContainers"] == [{"name": "attestor", "image": "mine", "restartPolicy": "Always"}]


def test_inner_lists_merge_by_their_keys() -> None:
    patch = {
        "name": "trainer",
        "env": [{"name": "HOME", "value": "/home"}, {"name": "NEW", "value": "1"}],
        "volumeMounts": [{"name": "mine", "mountPath": "/data"}, {"name": "mine", "mountPath": "/mine"}],
        "ports": [{"containerPort": 9090, "name": "http"}, {"containerPort": 9090, "protocol": "UDP"}],
        "resources": {"limits": {"nvidia.com/gpu": 1, "cpu": None}},
    }
    (trainer,) = merge_pod_spec(BUILT, {"containers": [patch]})["containers"]
    assert [each["name"] for each in trainer["env"]] == ["HOME", "IP", "NEW"]
    assert trainer["env"][0]["value"] == "/home"
    assert trainer["volumeMounts"] == [{"name": "mine", "mountPath": "/data"}, {"name": "mine", "mountPath": "/mine"}]
    assert trainer["ports"] == [
        {"containerPort": 9090, "protocol": "TCP", "name": "http"},
        {"containerPort": 9090, "protocol": "UDP"},
    ]
    assert trainer["resources"]["limits"] == {"memory": "1Gi", "nvidia.com/gpu": 1}


def test_null_and_delete_remove() -> None:
    patch = {"securityContext": None, "volumes": [{"name": "tmp", "$patch": "delete"}]}
    merged = merge_pod_spec(BUILT, patch)
    assert "securityContext" not in merged
    assert [volume["name"] for volume in merged["volumes"]] == ["data"]


def test_another_source_replaces_a_volumes_source() -> None:
    merged = merge_pod_spec(BUILT, {"volumes": [{"name": "data", "hostPath": {"path": "/x"}}]})
    assert merged["volumes"][0] == {"name": "data", "hostPath": {"path": "/x"}}


def test_lists_without_a_key_are_replaced() -> None:
    built = {**BUILT, "tolerations": [{"key": "a"}]}
    assert merge_pod_spec(built, {"tolerations": [{"key": "b"}]})["tolerations"] == [{"key": "b"}]


@given(patches)
def test_merging_changes_neither_argument_and_twice_is_once(patch: dict[str, Any]) -> None:
    built, before = deepcopy(BUILT), deepcopy(patch)
    once = merge_pod_spec(built, patch)
    assert (built, patch) == (BUILT, before)
    assert merge_pod_spec(once, patch) == once


@given(patches)
def test_what_the_patch_does_not_name_stays(patch: dict[str, Any]) -> None:
    merged = merge_pod_spec(BUILT, patch)
    assert merged["volumes"] == BUILT["volumes"]
    assert {c["name"] for c in BUILT["containers"]} <= {c["name"] for c in merged["containers"]}
    named = {c["name"] for c in patch.get("containers", [])}
    for container in BUILT["containers"]:
        if container["name"] not in named:
            assert container in merged["containers"]


def test_an_empty_patch_changes_nothing() -> None:
    assert merge_pod_spec(BUILT, {}) == BUILT
