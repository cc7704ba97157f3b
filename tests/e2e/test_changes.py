"""What a person changes in a Swarm does what she expects; what is wrong is said within 30 seconds."""

import time

import pytest

from tests.e2e.swarms import Cluster, condition, gave, is_true, tiny_swarm


def test_scaling_suspending_and_resuming(cluster: Cluster) -> None:
    cluster.apply(tiny_swarm("elastic", nodes=2, rounds=100_000))
    cluster.wait("swarms", "elastic", lambda s: s.get("status", {}).get("readyNodes") == 2, 400)
    cluster.kubectl("scale", "swarm/elastic", "--replicas=3", "-n", cluster.namespace)
    cluster.wait("swarms", "elastic", lambda s: s["status"]["readyNodes"] == 3, 400)
    cluster.kubectl("scale", "swarm/elastic", "--replicas=1", "-n", cluster.namespace)
    cluster.wait("swarms", "elastic", lambda s: s["status"]["nodes"] == 1, 120)
    assert [n["metadata"]["name"] for n in cluster.objects("swarmnodes")] == ["elastic-0"]
    cluster.wait("swarmnodes", "elastic-0", lambda n: n["status"]["round"] >= 3, 300)

    cluster.patch("swarm", "elastic", {"spec": {"suspend": True}})
    cluster.wait("swarmnodes", "elastic-0", gave("Ready", "Suspended"), 120)
    cluster.wait_gone("pods", "kubeswarm.dev/node=elastic-0", 120)
    reached = cluster.get("swarmnodes", "elastic-0")["status"]["round"]
    cluster.patch("swarm", "elastic", {"spec": {"suspend": False}})
    cluster.wait("swarmnodes", "elastic-0", lambda n: n["status"]["round"] > reached and is_true("Ready")(n), 300)


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"model": {"image": "kubeswarm/nowhere:v1"}}, "ImagePullFailed", "kubeswarm/nowhere:v1"),
        (
            {"template": {"head": {"spec": {"nodeSelector": {"gpu": "none-such"}}}}},
            "Unschedulable",
            "node affinity/selector",
        ),
        (
            {"template": {"head": {"spec": {"containers": [{"name": "trainer", "command": ["false"]}]}}}},
            "CrashLoop",
            "trainer",
        ),
    ],
    ids=["image", "selector", "crash"],
)
def test_a_failure_has_a_reason_within_30_seconds(cluster: Cluster, change: dict, reason: str, words: str) -> None:
    cluster.apply(tiny_swarm("broken", **change))
    start = time.monotonic()
    node = cluster.wait("swarmnodes", "broken-0", gave("Degraded", reason), 60)
    found = condition(node, "Degraded")
    assert found["status"] == "True"
    assert words in found["message"]
    assert "broken-0-head-0" in found["message"]
    assert condition(node, "Ready")["status"] == "False"
    assert time.monotonic() - start < 30
    cluster.wait("swarms", "broken", gave("Degraded", reason), 30)
