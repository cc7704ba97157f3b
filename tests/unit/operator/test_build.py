"""What is built, whole (as recorded), and what must hold of it whatever it is built from."""

from dataclasses import replace
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from kubeswarm_api.operator_config import Images
from kubeswarm_operator.build.claim import claim
from kubeswarm_operator.build.config_map import config_map, restart_digest
from kubeswarm_operator.build.deployment import deployment
from kubeswarm_operator.build.disruption_budget import disruption_budget
from kubeswarm_operator.build.meta import Owner
from kubeswarm_operator.build.network_policy import Peers, network_policies
from kubeswarm_operator.build.node import node
from kubeswarm_operator.build.secrets import exchange_secret, identity_secret, ray_secret
from kubeswarm_operator.build.service import head_service
from kubeswarm_operator.build.stateful_set import stateful_set
from tests.unit.operator.things import IMAGES, OWNER, node_config, node_spec, swarm_spec

SWARM = Owner("research", "light", "uid-s")
PEERS = Peers("kubeswarm-system", "https://chain.example", "nats://exchange:4222", hub=False)


def head(exchange: str | None = "light-0-exchange", images: Images = IMAGES, **changes: Any) -> dict[str, Any]:
    return stateful_set(OWNER, node_spec(**changes), images, "digest", 1, exchange)


def rollout(**changes: Any) -> dict[str, Any]:
    return deployment(OWNER, node_spec(**changes), IMAGES, "digest", 3)


def containers(workload: dict[str, Any]) -> list[dict[str, Any]]:
    spec = workload["spec"]["template"]["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def test_head(snapshot: SnapshotAssertion) -> None:
    assert head() == snapshot


def test_rollout(snapshot: SnapshotAssertion) -> None:
    assert rollout(rollout={"workers": 3}) == snapshot


def test_head_with_the_users_template(snapshot: SnapshotAssertion) -> None:
    spec = {
        "nodeSelector": {"accelerator": "a100"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "containers": [
            {"name": "trainer", "resources": {"limits": {"nvidia.com/gpu": 1}}, "env": [{"name": "A", "value": "1"}]},
            {"name": "attestor", "resources": {"limits": {"memory": "1Gi"}}},
        ],
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "32Gi"}}],
    }
    template = {"labels": {"team": "a", "kubeswarm.dev/role": "spy"}, "annotations": {"note": "x"}, "spec": spec}
    assert head(template={"head": template}) == snapshot


def test_small_objects(snapshot: SnapshotAssertion) -> None:
    spec = node_spec(storage={"size": "20Gi", "storageClassName": "fast"})
    objects = [
        claim(OWNER, spec.storage),
        config_map(OWNER, node_config(spec)),
        head_service(OWNER),
        disruption_budget(SWARM),
        *network_policies(OWNER, PEERS, workers=2),
        identity_secret(OWNER, "0xabc", retain=True),
        identity_secret(OWNER, "0xabc", retain=False, key="0x01"),
        ray_secret(OWNER, "token"),
        exchange_secret(OWNER, "mark", "credentials"),
        node(SWARM, swarm_spec(nodes=4), 3),
    ]
    assert {f"{each['kind']}/{each['metadata']['name']}/{i}": each for i, each in enumerate(objects)} == snapshot


@pytest.mark.parametrize("workload", [head(), rollout()], ids=["head", "rollout"])
def test_pods_are_restricted(workload: dict[str, Any]) -> None:
    spec = workload["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(workload):
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] is True
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"].keys() == {"requests", "limits"}
        assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]


def test_only_the_attestor_has_the_key() -> None:
    for workload in (head(), rollout()):
        holders = {c["name"] for c in containers(workload) if any(m["name"] == "identity" for m in c["volumeMounts"])}
        assert holders <= {"attestor"}
    volumes = {volume["name"] for volume in rollout()["spec"]["template"]["spec"]["volumes"]}
    assert not volumes & {"identity", "exchange", "data"}


def test_the_attestor_is_a_sidecar_that_starts_first() -> None:
    (attestor,) = head()["spec"]["template"]["spec"]["initContainers"]
    assert (attestor["name"], attestor["restartPolicy"]) == ("attestor", "Always")


def test_every_mount_has_its_volume() -> None:
    for workload in (head(), head(exchange=None), rollout(), head(model={"image": None, "hub": "a/b"})):
        spec = workload["spec"]["template"]["spec"]
        names = [volume["name"] for volume in spec["volumes"]]
        mounted = {mount["name"] for container in containers(workload) for mount in container["volumeMounts"]}
        assert mounted == set(names)
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("model", "volume"),
    [
        ({"image": "m:v1"}, {"image": {"reference": "m:v1", "pullPolicy": "IfNotPresent"}}),
        ({"image": None, "claim": "c"}, {"persistentVolumeClaim": {"claimName": "c", "readOnly": True}}),
        ({"image": None, "hub": "owner/name"}, None),
    ],
)
def test_the_model_comes_from_where_it_is_said(model: dict[str, Any], volume: dict[str, Any] | None) -> None:
    volumes = {each["name"]: each for each in head(model=model)["spec"]["template"]["spec"]["volumes"]}
    assert volumes.get("model") == (None if volume is None else {"name": "model", **volume})


@pytest.mark.parametrize(
    "change", [{"algorithm": {"learningRate": 0.1}}, {"sharing": {"external": 9, "maxAgeRounds": 2}}]
)
def test_what_can_change_in_flight_restarts_nothing(change: dict[str, Any]) -> None:
    assert restart_digest(node_config(node_spec(**change))) == restart_digest(node_config(node_spec()))


def test_the_number_of_rollout_pods_alone_restarts_nothing() -> None:
    marks = [restart_digest(node_config(node_spec(rollout={"workers": n}))) for n in (0, 1, 2, 9)]
    assert marks[1] == marks[2] == marks[3]
    assert marks[0] != marks[1]


@pytest.mark.parametrize("change", [{"rounds": 99}, {"algorithm": {"maxGradNorm": 0.1}}, {"rollout": {"maxTokens": 7}}])
def test_any_other_change_restarts(change: dict[str, Any]) -> None:
    assert restart_digest(node_config(node_spec(**change))) != restart_digest(node_config(node_spec()))


def test_another_secret_restarts() -> None:
    config = node_config(node_spec())
    assert len({restart_digest(config, *marks) for marks in ((), ("a",), ("b",), ("a", "b"))}) == 4


def test_policies_let_in_own_pods_and_scrapers_alone() -> None:
    for policy in network_policies(OWNER, PEERS, workers=1):
        for rule in policy["spec"]["ingress"]:
            for peer in rule["from"]:
                selector = peer.get("podSelector", peer.get("namespaceSelector"))
                assert selector["matchLabels"], "an empty selector would let everyone in"
            assert rule["ports"]
    without = network_policies(OWNER, Peers("system", None, None, hub=False), workers=0)
    assert len(without) == 1
    assert [sorted(port["port"] for port in rule["ports"]) for rule in without[0]["spec"]["egress"]][-1] == [
        53,
        53,
        5353,
        5353,
    ]


def test_a_node_carries_the_whole_spec_of_its_swarm() -> None:
    spec = swarm_spec(nodes=4, seed=7, suspend=True, template={"head": {"labels": {"a": "b"}}})
    built = node(SWARM, spec, 2)["spec"]
    assert built.pop("swarm") == {"name": "light"}
    assert built.pop("index") == 2
    assert built == {key: value for key, value in spec.to_json().items() if key not in ("nodes", "update")}


def test_code_and_data_of_the_environment_are_mounted_into_the_trainer_alone() -> None:
    environment = {
        "reasoningGym": None,
        "dataset": {
            "data": {"configMap": {"name": "rows.v1", "key": "rows.jsonl"}},
            "reward": {"python": {"code": {"configMap": {"name": "grader", "key": "reward.py"}}}},
        },
    }
    made = head(environment=environment)
    volumes = {each["name"]: each for each in made["spec"]["template"]["spec"]["volumes"]}
    attestor, trainer = containers(made)
    mounts = {each["mountPath"]: each["name"] for each in trainer["volumeMounts"]}
    for name in ("rows.v1", "grader"):
        volume = volumes[mounts[f"/etc/kubeswarm/environment/{name}"]]
        assert volume["configMap"] == {"name": name}
    assert not any("environment" in each["mountPath"] for each in attestor["volumeMounts"])


def test_pods_may_reach_a_signer() -> None:
    def ports(peers: Peers) -> set[int]:
        egress = network_policies(OWNER, peers, workers=1)[0]["spec"]["egress"]
        return {port["port"] for rule in egress if "to" not in rule for port in rule["ports"]} - {53, 5353}

    chain = Peers("system", "http://chain:8545", None, hub=False)
    assert ports(chain) == {8545}
    assert ports(replace(chain, signer_port=9000)) == {8545, 9000}
    secret = identity_secret(OWNER, "0xabc", retain=True, signer_port=9000)
    assert secret["metadata"]["annotations"] == {"kubeswarm.dev/address": "0xabc", "kubeswarm.dev/signer-port": "9000"}
