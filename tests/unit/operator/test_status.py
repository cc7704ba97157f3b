"""Status and health: what is said of a Node and of a Swarm."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_api.conditions import Condition, ConditionType, Reason
from kubeswarm_api.names import HEAD, ROLLOUT
from kubeswarm_api.node import HeldOut, NodeStatus
from kubeswarm_api.reports import AttestorReport, NodeReport, Phase, Problem
from kubeswarm_api.swarm import SwarmStatus
from kubeswarm_operator.decide.completion import progress
from kubeswarm_operator.decide.health import pod_ready, problems
from kubeswarm_operator.decide.node_status import NodeFacts, node_status
from kubeswarm_operator.decide.replicas import replicas
from kubeswarm_operator.decide.rolling import rolling
from kubeswarm_operator.decide.swarm_nodes import swarm_nodes
from kubeswarm_operator.decide.swarm_status import swarm_status
from kubeswarm_operator.observe.snapshot import ChainFacts, ExchangeFacts, NodeSnapshot, Reports
from tests.unit.operator.things import (
    EARLIER,
    NOW,
    SWARM_ID,
    node_object,
    node_snapshot,
    node_spec,
    pod,
    swarm_snapshot,
    swarm_spec,
)


def status_of(snapshot: NodeSnapshot) -> NodeStatus:
    assert snapshot.spec is not None
    done = progress(snapshot, SWARM_ID, None)
    wanted = replicas(snapshot.spec, done.complete, None, None)
    facts = NodeFacts(SWARM_ID, "0x01", done, wanted, tuple(problems(snapshot)), rolling(snapshot.children.values()))
    return node_status(snapshot, facts)


def condition(status: Any, kind: ConditionType) -> Condition:
    (found,) = [each for each in status.conditions if each.type == kind]
    return found


pods = st.builds(
    lambda role, number, ready, going: (
        pod(f"{role}-{number}", role, ready) if not going else _going(pod(f"{role}-{number}", role, ready))
    ),
    st.sampled_from([HEAD, ROLLOUT]),
    st.integers(0, 5),
    st.booleans(),
    st.booleans(),
)


def _going(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "metadata": {**body["metadata"], "deletionTimestamp": EARLIER}}


@given(
    found=st.lists(pods, max_size=5, unique_by=lambda each: each["metadata"]["name"]),
    workers=st.integers(0, 3),
    suspend=st.booleans(),
    phase=st.sampled_from([None, *Phase]),
    missing=st.sampled_from([(), (("Secret", "s"),)]),
)
def test_ready_is_never_true_while_a_required_pod_is_not(
    found: list[dict[str, Any]], workers: int, suspend: bool, phase: Phase | None, missing: Any
) -> None:
    spec = node_spec(rollout={"workers": workers}, suspend=suspend)
    report = NodeReport(phase=phase, round=1) if phase else None
    snapshot = node_snapshot(spec, pods=tuple(found), reports=Reports(report), missing=missing)
    status = status_of(snapshot)
    ready = condition(status, ConditionType.READY)
    if ready.status == "True":
        by_role = [
            sum(pod_ready(p) for p in found if p["metadata"]["labels"]["kubeswarm.dev/role"] == r)
            for r in (HEAD, ROLLOUT)
        ]
        assert by_role[0] >= 1 and by_role[1] >= workers
        assert not suspend and not missing and phase in (None, Phase.TRAINING, Phase.COMPLETE)
    assert len(status.conditions) == len(ConditionType)
    degraded = condition(status, ConditionType.DEGRADED)
    assert not (ready.status == degraded.status == "True")


def test_ready_is_not_said_of_pods_that_a_change_may_take_away() -> None:
    """A Node that was suspended and resumed in one breath: its head is still ready, and about to go."""
    head = {"kind": "StatefulSet", "metadata": {"name": "light-0-head", "generation": 3}}
    told = []
    for wanted, seen in ((0, 3), (1, 2), (1, 3)):  # scaled down; up again, unseen; seen
        status = {"observedGeneration": seen, "replicas": 1, "updatedReplicas": 1}
        live = {**head, "spec": {"replicas": wanted}, "status": status}
        said = status_of(node_snapshot(children={("StatefulSet", "light-0-head"): live}))
        told.append(condition(said, ConditionType.READY))
    assert [(each.status, each.reason) for each in told] == [
        ("False", Reason.SCALING),
        ("False", Reason.SCALING),
        ("True", Reason.TRAINING),
    ]
    assert "light-0-head" in told[0].message


def test_numbers_outlive_the_pods() -> None:
    before = NodeStatus(
        round=9, reward="0.5000", held_out=HeldOut(items=32, latest="0.4000"), tokens=77, groups_taken=3, model="0xff"
    )
    after = status_of(node_snapshot(pods=(), status=before))
    for name in ("round", "reward", "held_out", "tokens", "groups_taken", "model"):
        assert getattr(after, name) == getattr(before, name)


def test_equal_facts_give_an_equal_status() -> None:
    first = status_of(node_snapshot())
    later = node_snapshot(status=first, now=NOW + timedelta(hours=5))
    assert status_of(later) == first


CHAIN = ChainFacts(configured=True, asked=True, owner="0x01", reachable=True)
IDLE = AttestorReport(node_id="0x01", address="0x01")


@pytest.mark.parametrize(
    ("chain", "attestor", "status", "reason"),
    [
        (ChainFacts(), None, "Unknown", "NotConfigured"),
        (
            ChainFacts(configured=True, asked=True, reason="ChainUnreachable", message="gone"),
            None,
            "False",
            "ChainUnreachable",
        ),
        (CHAIN, IDLE, "False", "Registering"),
        (CHAIN, IDLE.model_copy(update={"registered": True, "joined": True}), "True", "Synced"),
        (
            CHAIN,
            IDLE.model_copy(update={"problem": Problem(reason="KeyUnfunded", message="m")}),
            "False",
            "KeyUnfunded",
        ),
    ],
)
def test_chain_synced(chain: ChainFacts, attestor: AttestorReport | None, status: str, reason: str) -> None:
    found = condition(
        status_of(node_snapshot(chain=chain, reports=Reports(None, attestor))), ConditionType.CHAIN_SYNCED
    )
    assert (found.status, found.reason) == (status, reason)


def test_a_chain_that_is_away_leaves_a_node_ready() -> None:
    away = ChainFacts(configured=True, asked=True, reason="ChainUnreachable", message="gone")
    assert condition(status_of(node_snapshot(chain=away)), ConditionType.READY).status == "True"


def test_what_was_said_stays_until_somebody_was_asked() -> None:
    unasked = {"chain": ChainFacts(configured=True), "exchange": ExchangeFacts(configured=True)}
    first = status_of(node_snapshot(**unasked))
    for kind in (ConditionType.CHAIN_SYNCED, ConditionType.EXCHANGE_READY):
        assert condition(first, kind).status == "Unknown"
    known = status_of(node_snapshot(chain=CHAIN, exchange=ExchangeFacts(configured=True, asked=True, reachable=True)))
    assert status_of(node_snapshot(status=known, **unasked)) == known


def test_exchange_ready() -> None:
    configured = ExchangeFacts(configured=True, asked=True, reachable=True)
    lost = Reports(NodeReport(phase=Phase.TRAINING, exchange_connected=False))
    found = condition(status_of(node_snapshot(exchange=configured, reports=lost)), ConditionType.EXCHANGE_READY)
    assert (found.status, found.reason) == ("False", "ExchangeUnreachable")
    fine = condition(status_of(node_snapshot(exchange=configured)), ConditionType.EXCHANGE_READY)
    assert (fine.status, fine.reason) == ("True", "Connected")


# --- health -------------------------------------------------------------------------------------------------
def unschedulable(seconds_ago: int) -> dict[str, Any]:
    created = (NOW - timedelta(seconds=seconds_ago)).isoformat()
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: no gpu"}
    body = pod(ready=False, phase="Pending", conditions=[scheduled])
    return {**body, "metadata": {**body["metadata"], "creationTimestamp": created}}


def test_scheduling_is_given_a_moment() -> None:
    assert problems(node_snapshot(pods=(unschedulable(1),))) == []
    (found,) = problems(node_snapshot(pods=(unschedulable(10),)))
    assert found.reason == Reason.UNSCHEDULABLE
    assert "light-0-head-0" in found.message and "no gpu" in found.message


def claim(phase: str, seconds_ago: int) -> dict[tuple[str, str], Any]:
    created = (NOW - timedelta(seconds=seconds_ago)).isoformat()
    body = {"metadata": {"name": "light-0-data", "creationTimestamp": created}, "spec": {}, "status": {"phase": phase}}
    return {("PersistentVolumeClaim", "light-0-data"): body}


def test_a_pending_claim_is_told_once_its_pod_has_a_machine() -> None:
    """Until then it waits for the pod, which in a busy cluster takes long, or the scheduler says what is wrong."""
    placed = {**pod(ready=False), "spec": {"nodeName": "machine-1"}}
    assert problems(node_snapshot(children=claim("Pending", 5), pods=(placed,))) == []
    (found,) = problems(node_snapshot(children=claim("Pending", 60), pods=(placed,)))
    assert found.reason == Reason.CLAIM_PENDING
    assert "storageClassName" in found.message and "is made anew" in found.message
    assert problems(node_snapshot(children=claim("Pending", 60), pods=())) == []
    assert problems(node_snapshot(children=claim("Pending", 60), pods=(pod(ready=False),))) == []
    reasons = [
        each.reason for each in problems(node_snapshot(children=claim("Pending", 60), pods=(unschedulable(60),)))
    ]
    assert reasons == [Reason.UNSCHEDULABLE]
    (lost,) = problems(node_snapshot(children=claim("Lost", 60)))
    assert "lost its volume" in lost.message


def test_no_volume_is_missed_before_a_pod_is_wanted() -> None:
    placed = {**pod(ready=False), "spec": {"nodeName": "machine-1"}}
    assert problems(node_snapshot(spec=node_spec(suspend=True), children=claim("Pending", 3600), pods=(placed,))) == []


def crashed(state: dict[str, Any], restarts: int, seconds_ago: int = 10, **last: Any) -> list[Reason]:
    ended = {"exitCode": 1, "reason": "Error", "finishedAt": (NOW - timedelta(seconds=seconds_ago)).isoformat(), **last}
    container = {"name": "trainer", "ready": True, "restartCount": restarts, "state": state}
    if "terminated" in state:
        container["state"] = {"terminated": ended}
    else:
        container["lastState"] = {"terminated": ended}
    return [each.reason for each in problems(node_snapshot(pods=(pod(containerStatuses=[container]),)))]


RUNNING, ENDED, BACKING_OFF = {"running": {}}, {"terminated": {}}, {"waiting": {"reason": "CrashLoopBackOff"}}


def test_one_crash_is_mended_and_many_are_a_loop() -> None:
    assert crashed(ENDED, 0) == []
    assert crashed(RUNNING, 1) == []
    assert crashed(ENDED, 1) == [Reason.CRASH_LOOP]
    assert crashed(BACKING_OFF, 1) == [Reason.CRASH_LOOP]
    assert crashed(RUNNING, 2) == [Reason.CRASH_LOOP], "running again, but not for long"
    assert crashed(RUNNING, 2, seconds_ago=300) == []
    assert crashed(ENDED, 3, exitCode=0) == []


def test_one_out_of_memory_is_told() -> None:
    assert crashed(ENDED, 0, reason="OOMKilled") == [Reason.OUT_OF_MEMORY]
    assert crashed(RUNNING, 1, reason="OOMKilled") == [Reason.OUT_OF_MEMORY]
    assert crashed(RUNNING, 1, seconds_ago=300, reason="OOMKilled") == []


def test_the_last_words_of_a_json_log_are_found() -> None:
    line = json.dumps({"message": "failed", "error": "Traceback:\n  File x\nModuleNotFoundError: No module named 'a'"})
    last = {"exitCode": 1, "message": line}
    container = {"name": "trainer", "restartCount": 4, "state": BACKING_OFF, "lastState": {"terminated": last}}
    (found,) = problems(node_snapshot(pods=(pod(containerStatuses=[container]),)))
    assert (
        "; it said: failed | ModuleNotFoundError: No module named 'a'; see `kubectl logs light-0-head-0"
        in found.message
    )


def test_a_pod_that_is_not_started_says_why() -> None:
    mount = 'MountVolume.SetUp failed for volume "mine" : secret "absent" not found'
    (found,) = problems(node_snapshot(pods=(), stuck=(("light-0-head-0", mount),)))
    assert found.reason == Reason.SECRET_NOT_FOUND
    assert 'pod light-0-head-0 does not get started: MountVolume.SetUp failed for volume "mine"' in found.message
    (other,) = problems(node_snapshot(pods=(), stuck=(("light-0-head-0", "failed to attach"),)))
    assert other.reason == Reason.CONTAINER_CONFIG_ERROR


def test_a_pod_that_waits_for_its_volume_is_told_as_that() -> None:
    body = unschedulable(10)
    body["status"]["conditions"][0]["message"] = "0/1 nodes: pod has unbound immediate PersistentVolumeClaims"
    (found,) = problems(node_snapshot(pods=(body,)))
    assert found.reason == Reason.CLAIM_PENDING and "storageClassName" in found.message


def test_long_messages_stay_within_bounds() -> None:
    waiting = {"state": {"waiting": {"reason": "ErrImagePull", "message": "x" * 100_000}}, "name": "trainer"}
    many = tuple(pod(f"p{i}", ready=False, containerStatuses=[waiting]) for i in range(9))
    for each in status_of(node_snapshot(pods=many)).conditions:
        assert len(each.message) <= 4096


# --- Swarms -------------------------------------------------------------------------------------------------
def ready_node(index: int, round: int = 5, complete: bool = False, reward: str = "0.5000") -> dict[str, Any]:
    kinds = [
        ("Ready", "False" if complete else "True"),
        ("Complete", "True" if complete else "False"),
        ("Degraded", "False"),
    ]
    made = [Condition(type=k, status=s, reason="R", last_transition_time="x") for k, s in kinds]  # type: ignore[arg-type]
    return node_object(index, NodeStatus(round=round, conditions=made, reward=reward, attested_rounds=round))


def swarm_of(*nodes: dict[str, Any], wanted: int | None = None) -> Any:
    spec = swarm_spec(nodes=len(nodes) if wanted is None else wanted)
    snapshot = swarm_snapshot(spec, nodes=nodes)
    return swarm_status(snapshot, SWARM_ID, swarm_nodes(snapshot))


def test_a_swarm_is_what_its_nodes_are() -> None:
    status = swarm_of(ready_node(0, 7, reward="0.4000"), ready_node(1, 3, reward="0.6000"))
    assert (status.nodes, status.ready_nodes, status.round, status.reward) == (2, 2, 3, "0.5000")
    assert status.attested_rounds == 10
    assert condition(status, ConditionType.READY).status == "True"


def test_a_swarm_speaks_of_its_new_spec_only_when_its_nodes_do() -> None:
    def told(node_generation: int, said_of: int, before: int = 1, ready: bool = False) -> tuple[int, str]:
        """The Swarm's generation is 2, its status is of the one before, or of none: what it is of then, and Ready."""
        yes, no = (Condition(type="Ready", status=s, reason="R", last_transition_time="x") for s in ("True", "False"))
        node = node_object(0, NodeStatus(observed_generation=said_of, conditions=[yes]), generation=node_generation)
        known = SwarmStatus(observed_generation=before, conditions=[yes if ready else no])
        snapshot = swarm_snapshot(swarm_spec(nodes=1), nodes=(node,), status=known)
        status = swarm_status(snapshot, SWARM_ID, swarm_nodes(snapshot))
        found = condition(status, ConditionType.READY)
        assert found.observed_generation == status.observed_generation
        return status.observed_generation, found.status

    assert told(node_generation=3, said_of=2, ready=True) == (1, "True"), "the Node's word is about the spec before"
    assert told(node_generation=3, said_of=2) == (1, "False"), "or about one between, which wanted fewer Nodes"
    assert told(node_generation=3, said_of=2, before=0) == (0, "False"), "and there is none before"
    assert told(node_generation=3, said_of=2, before=2) == (2, "False"), "what was refused at first is under way now"
    assert told(node_generation=3, said_of=2, before=2, ready=True) == (2, "True"), "an edit of the Node by hand"
    assert told(node_generation=3, said_of=3) == (2, "True")
    assert told(node_generation=1, said_of=0) == (2, "True"), "a new Node, which holds back nothing"


def test_a_swarm_is_complete_when_all_its_nodes_are() -> None:
    half = swarm_of(ready_node(0, 24, complete=True), ready_node(1, 20))
    assert condition(half, ConditionType.COMPLETE).status == "False"
    assert condition(half, ConditionType.READY).status == "True"
    done = swarm_of(ready_node(0, 24, complete=True), ready_node(1, 24, complete=True))
    assert condition(done, ConditionType.COMPLETE).status == "True"
    assert condition(done, ConditionType.READY).reason == "RoundsComplete"
    more = swarm_of(ready_node(0, 24, complete=True), wanted=2)
    assert condition(more, ConditionType.COMPLETE).status == "False"


def test_an_empty_swarm_is_ready_and_not_complete() -> None:
    status = swarm_of()
    assert condition(status, ConditionType.COMPLETE).status == "False"
    assert status.reward is None
