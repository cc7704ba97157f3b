"""The indexer beside the operator: a Swarm's status comes from its log of runs, and anyone reads the run there."""

import json
import subprocess
import sys
from typing import Any

from kubeswarm_api.names import INDEXER_PORT
from tests.cluster.control_plane import until
from tests.e2e.swarms import SYSTEM, Cluster, condition, gave, is_true, rounds_of, tiny_swarm

#: More than are ever trained here.
ROUNDS = 100_000
ATTEST_SECONDS = 60


def lineage(cluster: Cluster, model: str) -> list[dict[str, Any]]:
    """What `kubeswarm lineage` tells of a model by the log alone."""
    url = cluster.service("kubeswarm-indexer", INDEXER_PORT)
    command = [sys.executable, "-m", "kubeswarm_cli", "lineage", model, "--indexer", url, "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout)


def test_the_log_serves_the_run_that_the_status_shows(cluster: Cluster) -> None:
    cluster.apply(
        tiny_swarm("logged", nodes=2, rounds=12, sharing={"external": 2}, attest={"rounds": 4, "seconds": 10})
    )
    status = cluster.wait("swarms", "logged", is_true("Complete"), 600)["status"]
    assert (status["participants"], status["attestedRounds"]) == (2, 24)
    log, swarm_id = cluster.run_log(), status["swarmId"]
    run = log.swarm(swarm_id)
    assert run is not None and run.members == 2
    assert run == cluster.chain().swarm(swarm_id)
    for name in ("logged-0", "logged-1"):
        node = cluster.get("swarmnodes", name)["status"]
        told, attested = log.rounds(swarm_id, node["nodeId"]), cluster.attested(name)
        assert [(each.uid, each.records_root) for each in told] == [(each.uid, each.root) for each in attested]
        assert rounds_of(attested) == list(range(1, 13))
        assert node["attestedRounds"] == told[-1].last_round
        found = lineage(cluster, node["model"])
        assert [(each["firstRound"], each["lastRound"]) for each in found] == [(a.first, a.last) for a in attested]
        assert found[-1]["model"] == node["model"]


def test_an_indexer_that_is_away_is_said_and_its_log_goes_on_where_it_was(cluster: Cluster) -> None:
    cluster.apply(tiny_swarm("unlogged", rounds=ROUNDS))
    cluster.wait("swarmnodes", "unlogged-0", lambda n: n.get("status", {}).get("attestedRounds", 0) >= 3, 400)
    cluster.kubectl("scale", "deployment/kubeswarm-indexer", "--replicas=0", "-n", SYSTEM)
    try:
        away = cluster.wait("swarmnodes", "unlogged-0", gave("ChainSynced", "ChainUnreachable"), 120)
        # The chain itself is there and takes rounds: it is the log that the operator asks.
        assert "indexer.url" in condition(away, "ChainSynced")["message"]
        before = len(rounds_of(cluster.attested("unlogged-0")))
        until(
            lambda: len(rounds_of(cluster.attested("unlogged-0"))) > before, ATTEST_SECONDS, "one more, with no indexer"
        )
        assert gave("ChainSynced", "ChainUnreachable")(cluster.get("swarmnodes", "unlogged-0"))
    finally:
        cluster.kubectl("scale", "deployment/kubeswarm-indexer", "--replicas=1", "-n", SYSTEM)
    node = cluster.wait("swarmnodes", "unlogged-0", is_true("ChainSynced"), 180)["status"]
    attested = [each.uid for each in cluster.attested("unlogged-0")]
    swarm_id = cluster.get("swarms", "unlogged")["status"]["swarmId"]

    def told() -> list[str]:
        return [each.uid for each in cluster.run_log().rounds(swarm_id, node["nodeId"])]

    until(lambda: len(told()) >= len(attested), ATTEST_SECONDS, "what was attested while it was away, and before")
    assert told()[: len(attested)] == attested
