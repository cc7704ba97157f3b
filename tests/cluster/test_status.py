"""What pods say becomes status; what is done frees their memory; what they say wrongly is told, or ignored."""

from collections.abc import Callable
from typing import Any

import pytest

from kubeswarm_api.names import ATTESTOR_PORT, TRAINER_PORT
from kubeswarm_api.reports import AttestorReport, HeldOutReport, NodeReport, Phase
from tests.cluster.control_plane import ControlPlane, until
from tests.cluster.manifests import POD, UNJUDGED, swarm
from tests.cluster.told import Told
from tests.cluster.worker import Worker


@pytest.mark.usefixtures("light")
def test_shows_what_pods_say_and_frees_them_when_all_is_done(
    cluster: ControlPlane, namespace: str, worker: Callable[[str], Worker]
) -> None:
    head = worker("127.0.9.1")
    head.reports[TRAINER_PORT] = NodeReport(phase=Phase.STARTING, message="loading the model", rounds=24)
    cluster.run_pod(namespace, POD, head.address)
    ready = until(lambda: cluster.reason(namespace, "swarm", "light", "Ready", "Starting"), 20, "starting")
    assert (ready["status"], "loading the model" in ready["message"]) == ("False", True)

    held_out = HeldOutReport(items=32, before=0.07, latest=0.51, exact_before=0.03, exact_latest=0.44, round=16)
    training = NodeReport(
        phase=Phase.TRAINING, round=17, rounds=24, reward=0.625, held_out=held_out, tokens=9000, groups_taken=5
    )
    head.reports[TRAINER_PORT] = training
    until(lambda: cluster.reason(namespace, "swarm", "light", "Ready", "Training"), 20, "training")
    status = (cluster.get(namespace, "swarmnode", "light-0") or {})["status"]
    assert (status["round"], status["reward"], status["tokens"], status["groupsTaken"]) == (17, "0.6250", 9000, 5)
    assert status["heldOut"]["latest"] == "0.5100"
    until(lambda: _swarm(cluster, namespace)["heldOutReward"] == "0.5100", 10, "the Swarm's mean")
    assert _swarm(cluster, namespace)["readyNodes"] == 1

    cluster.run_pod(namespace, POD, head.address, ready=False)
    until(lambda: cluster.reason(namespace, "swarm", "light", "Ready", "PodNotReady"), 10, "not Ready any more")
    cluster.run_pod(namespace, POD, head.address)

    head.reports[TRAINER_PORT] = training.model_copy(update={"phase": Phase.COMPLETE, "round": 24})
    until(lambda: cluster.reason(namespace, "swarm", "light", "Complete", "RoundsComplete"), 20, "complete")
    until(lambda: _sts(cluster, namespace) == 0, 10, "no head pod wanted")
    until(lambda: cluster.reason(namespace, "swarm", "light", "Ready", "RoundsComplete"), 10, "no longer Ready")
    until(lambda: not cluster.items(namespace, "pods"), 10, "no pods")
    assert (cluster.get(namespace, "swarmnode", "light-0") or {})["status"]["heldOut"]["latest"] == "0.5100"

    cluster.apply(swarm(namespace, nodes=1, rounds=48, template=UNJUDGED))
    until(lambda: _sts(cluster, namespace) == 1, 20, "more rounds bring the head back")
    until(lambda: cluster.reason(namespace, "swarm", "light", "Complete", "RoundsRemain"), 20, "not complete")


def _swarm(cluster: ControlPlane, namespace: str) -> dict[str, Any]:
    return (cluster.get(namespace, "swarm", "light") or {})["status"]


def _sts(cluster: ControlPlane, namespace: str) -> int | None:
    live = cluster.get(namespace, "sts", "light-0-head")
    return live["spec"]["replicas"] if live else None


@pytest.mark.usefixtures("light")
def test_a_failed_trainer_and_a_stuck_attestor_are_told(
    cluster: ControlPlane, namespace: str, worker: Callable[[str], Worker], told: Told
) -> None:
    head = worker("127.0.9.2")
    told.cause()
    head.reports[TRAINER_PORT] = NodeReport(phase=Phase.FAILED, message="loss is NaN in round 3: lower learningRate")
    head.reports[ATTESTOR_PORT] = AttestorReport(node_id="0x" + "1" * 40, address="0x" + "1" * 40)
    cluster.run_pod(namespace, POD, head.address)
    degraded = told.told(
        lambda: cluster.reason(namespace, "swarm", "light", "Degraded", "LossNotFinite"),
        "a loss that the trainer tells",
    )
    assert "loss is NaN" in degraded["message"]


@pytest.mark.usefixtures("light")
def test_a_reward_that_is_gamed_is_told_and_training_goes_on(
    cluster: ControlPlane, namespace: str, worker: Callable[[str], Worker], told: Told
) -> None:
    head = worker("127.0.9.4")
    well = NodeReport(phase=Phase.TRAINING, round=16, rounds=24, reward=0.4)
    head.reports[TRAINER_PORT] = well
    cluster.run_pod(namespace, POD, head.address)
    until(lambda: cluster.reason(namespace, "swarmnode", "light-0", "RewardGamed", "AsExpected"), 30, "nothing yet")
    told.cause()
    seen = {"coin_flip": "its mean reward rose from 0.200 to 0.700 while the share of right answers went from 0 to 0"}
    head.reports[TRAINER_PORT] = well.model_copy(update={"gamed": seen, "round": 17})
    for kind, name in (("swarmnode", "light-0"), ("swarm", "light")):
        gamed = told.told(
            lambda k=kind, n=name: cluster.reason(namespace, k, n, "RewardGamed", "RewardGamed"),
            f"gamed, on {kind}",
        )
        assert gamed["status"] == "True"
        for word in ("task coin_flip", "rose from 0.200 to 0.700", "kubeswarm rollouts --best"):
            assert word in gamed["message"]
        assert (cluster.condition(namespace, kind, name, "Degraded") or {})["status"] == "False"
    until(lambda: "Node" in cluster.warned(namespace, "RewardGamed"), 10, "the Event")
    head.reports[TRAINER_PORT] = well.model_copy(update={"round": 18})
    until(lambda: cluster.reason(namespace, "swarm", "light", "RewardGamed", "AsExpected"), 40, "it is over")


@pytest.mark.usefixtures("light")
def test_garbage_from_a_pod_is_ignored(cluster: ControlPlane, namespace: str, worker: Callable[[str], Worker]) -> None:
    head = worker("127.0.9.3")
    head.reports[TRAINER_PORT] = b'{"phase": "Complete", "round": "many"}'
    head.reports[ATTESTOR_PORT] = b"x" * 200_000
    cluster.run_pod(namespace, POD, head.address)
    until(lambda: cluster.reason(namespace, "swarm", "light", "Ready", "Training"), 20, "ready by its pod alone")
    assert _swarm(cluster, namespace)["round"] == 0
