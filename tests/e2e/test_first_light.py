"""From `kubectl apply` to a trained, attested model; then nothing more is written; then all goes but the keys."""

from datetime import UTC, datetime, timedelta

from tests.e2e.swarms import SYSTEM, Cluster, is_true, rounds_of, tiny_swarm

STEADY_SECONDS = 60


def test_two_nodes_train_share_and_are_attested(cluster: Cluster) -> None:
    swarm = tiny_swarm("pair", nodes=2, rounds=30, sharing={"external": 2}, attest={"rounds": 4, "seconds": 10})
    cluster.apply(swarm)
    complete = cluster.wait("swarms", "pair", is_true("Complete"), 600)
    assert complete["status"]["completeNodes"] == 2
    assert complete["status"]["attestedRounds"] == 60
    assert complete["status"]["participants"] == 2

    nodes = [cluster.get("swarmnodes", f"pair-{index}") for index in range(2)]
    for node in nodes:
        status = node["status"]
        assert status["round"] == 30
        assert status["heldOut"]["round"] == 30
        assert status["heldOut"]["items"] == 8
        assert {"before", "latest"} <= status["heldOut"].keys()
        # The chain is asked by a plain client: each round once, in batches.
        attestations = cluster.attested(node["metadata"]["name"])
        assert rounds_of(attestations) == list(range(1, 31))
        assert len(attestations) < 30
        info = cluster.chain().attestation(attestations[-1].uid)
        assert info is not None
        assert info.model == status["model"]
    assert sum(node["status"]["groupsTaken"] for node in nodes) > 0

    # What was needed to train is given back.
    for index in range(2):
        cluster.wait("statefulsets", f"pair-{index}-head", lambda s: s["status"].get("replicas", 0) == 0, 60)
    _nothing_is_written(cluster)

    identities = {"pair-0-identity", "pair-1-identity"}
    assert identities <= _secrets(cluster)
    cluster.kubectl("delete", "swarm", "pair", "-n", cluster.namespace, "--timeout=60s")
    for kind in ("swarmnodes", "statefulsets", "deployments", "configmaps", "pvc", "networkpolicies", "services"):
        cluster.wait_gone(kind, "app.kubernetes.io/managed-by=kubeswarm-operator", 120)
    assert _secrets(cluster) == identities


def _secrets(cluster: Cluster) -> set[str]:
    return {secret["metadata"]["name"] for secret in cluster.objects("secrets")}


def _nothing_is_written(cluster: Cluster) -> None:
    """In steady state the operator writes nothing but its Lease, by the API server's own log."""
    lease = cluster.get("lease", "kubeswarm-operator", SYSTEM)
    start = datetime.now(UTC) + timedelta(seconds=15)  # the last reports of the pods that end
    renewed_after = (start + timedelta(seconds=STEADY_SECONDS)).isoformat()
    cluster.wait(
        "lease",
        lease["metadata"]["name"],
        lambda held: held["spec"]["renewTime"] > renewed_after,
        STEADY_SECONDS + 60,
        SYSTEM,
    )
    writes = cluster.operator_writes(start.isoformat())
    assert set(writes) <= {"update leases", "patch leases"}, writes
    assert sum(writes.values()) >= STEADY_SECONDS / 30
