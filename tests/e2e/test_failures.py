"""What breaks is put right by itself, and never costs a finished round."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.swarms import SYSTEM, Cluster, gave, is_true, losses, rounds_of, running, tiny_swarm

ROUNDS = 150
# More than the two minutes without a chain have room for, or nearly.
OUTAGE_ROUNDS = 1200


def models_by_round(cluster: Cluster, node: str) -> dict[int, str]:
    """The model's digest after the last round of each attestation, from the chain."""
    chain = cluster.chain()
    attestations = cluster.attested(node)
    assert rounds_of(attestations) == list(range(1, ROUNDS + 1))
    data = {a.last: chain.attestation(a.uid) for a in attestations}
    return {last: attestation.model for last, attestation in data.items() if attestation}


@pytest.fixture
def finished(cluster: Cluster) -> Callable[[str], None]:
    """Waits for a Swarm of one Node to finish."""

    def wait(name: str) -> None:
        cluster.wait("swarms", name, is_true("Complete"), 900)

    return wait


def test_a_killed_trainer_and_a_killed_attestor_change_nothing(
    cluster: Cluster, finished: Callable[[str], None], tmp_path: Path
) -> None:
    calm, disturbed = tmp_path / "calm.log", tmp_path / "killed.log"
    cluster.apply(tiny_swarm("calm", rounds=ROUNDS))
    cluster.apply(tiny_swarm("killed", rounds=ROUNDS))
    head = "killed-0-head-0"
    cluster.wait("pods", "calm-0-head-0", running("trainer", 0), 120)
    with cluster.following("calm-0-head-0", "trainer", calm):
        cluster.wait("pods", head, running("trainer", 0), 120)
        with cluster.following(head, "trainer", disturbed):
            cluster.wait("swarmnodes", "killed-0", lambda n: n.get("status", {}).get("round", 0) >= 5, 400)
            cluster.sigkill(head, "trainer")
            cluster.wait("pods", head, running("trainer", 1), 120)
        with cluster.following(head, "trainer", disturbed):
            cluster.wait("swarmnodes", "killed-0", lambda n: n.get("status", {}).get("round", 0) >= 10, 400)
            # Training is quick here, so that an attestation is always on its way when the attestor dies.
            for _ in range(3):
                known = cluster.restarts(head, "attestor")
                before = len(cluster.attested("killed-0"))
                cluster.sigkill(head, "attestor")
                cluster.wait("pods", head, running("attestor", known + 1), 120)
                assert len(cluster.attested("killed-0")) >= before
            assert cluster.restarts(head, "trainer") == 1
            finished("killed")
        finished("calm")

    # The line of one round may have died with the process that had just finished it.
    assert losses(disturbed).items() <= losses(calm).items()
    assert len(losses(disturbed)) >= ROUNDS - 1
    assert set(losses(calm)) == set(range(1, ROUNDS + 1))
    assert len(set(losses(calm).values())) > ROUNDS / 2, "a loss that does not move proves nothing"
    killed, undisturbed = models_by_round(cluster, "killed-0"), models_by_round(cluster, "calm-0")
    both = killed.keys() & undisturbed.keys()
    assert ROUNDS in both
    assert {last: killed[last] for last in both} == {last: undisturbed[last] for last in both}


def test_a_killed_rollout_pod_is_replaced(cluster: Cluster, finished: Callable[[str], None]) -> None:
    cluster.apply(tiny_swarm("remote", rounds=ROUNDS, rollout={"maxTokens": 8, "workers": 1}))
    cluster.wait("swarmnodes", "remote-0", lambda n: n.get("status", {}).get("round", 0) >= 5, 500)
    (pod,) = cluster.objects("pods", "kubeswarm.dev/node=remote-0,kubeswarm.dev/role=rollout")
    cluster.sigkill(pod["metadata"]["name"], "rollout")
    cluster.wait("pods", pod["metadata"]["name"], running("rollout", 1), 120)
    finished("remote")
    assert rounds_of(cluster.attested("remote-0")) == list(range(1, ROUNDS + 1))
    node = cluster.get("swarmnodes", "remote-0")
    assert node["status"]["round"] == ROUNDS


def test_a_stopped_chain_and_a_restarted_operator_do_not_stop_training(
    cluster: Cluster, finished: Callable[[str], None]
) -> None:
    cluster.apply(tiny_swarm("outage", rounds=OUTAGE_ROUNDS))
    cluster.wait("swarmnodes", "outage-0", lambda n: n.get("status", {}).get("attestedRounds", 0) >= 3, 400)
    cluster.kubectl("scale", "statefulset/kubeswarm-chain", "--replicas=0", "-n", SYSTEM)
    try:
        cut = cluster.wait("swarmnodes", "outage-0", gave("ChainSynced", "ChainUnreachable"), 120)
        _the_operator_restarts_and_changes_nothing(cluster)
        # By now the operator has the attestor's word for what reached the chain before it went.
        reached = cluster.get("swarmnodes", "outage-0")["status"]["attestedRounds"]
        # The condition does not come back within two minutes: there is no chain.
        began = time.monotonic()
        cluster.kubectl(
            *("wait", "--for=condition=ChainSynced", "swarmnodes/outage-0", "-n", cluster.namespace, "--timeout=120s"),
            check=False,
        )
        assert time.monotonic() - began >= 120
        during = cluster.get("swarmnodes", "outage-0")
        assert gave("ChainSynced", "ChainUnreachable")(during)
        assert during["status"]["round"] > cut["status"]["round"] + 5
        assert during["status"]["attestedRounds"] == reached
    finally:
        cluster.kubectl("scale", "statefulset/kubeswarm-chain", "--replicas=1", "-n", SYSTEM)
    finished("outage")
    assert rounds_of(cluster.attested("outage-0")) == list(range(1, OUTAGE_ROUNDS + 1))


def _the_operator_restarts_and_changes_nothing(cluster: Cluster) -> None:
    def children() -> dict[str, tuple[str, int]]:
        return {
            f"{kind}/{obj['metadata']['name']}": (obj["metadata"]["uid"], obj["metadata"].get("generation", 0))
            for kind in ("statefulsets", "deployments", "services", "configmaps", "secrets", "pods", "pvc")
            for obj in cluster.objects(kind, "app.kubernetes.io/managed-by=kubeswarm-operator")
        }

    before, restarts = children(), cluster.restarts("outage-0-head-0", "trainer")
    reached = cluster.get("swarmnodes", "outage-0")["status"]["round"]
    cluster.kubectl(
        "delete", "pod", "-n", SYSTEM, "-l", "app.kubernetes.io/component=operator", "--grace-period=0", "--force"
    )
    cluster.kubectl("rollout", "status", "deployment/kubeswarm-operator", "-n", SYSTEM, "--timeout=120s")
    cluster.wait("swarmnodes", "outage-0", lambda n: n["status"]["round"] > reached, 120)
    assert children() == before
    assert cluster.restarts("outage-0-head-0", "trainer") == restarts
