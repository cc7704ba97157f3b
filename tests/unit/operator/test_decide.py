"""The policies, as properties of pure functions."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_api.conditions import PENDING, Condition, ConditionType, Reason
from kubeswarm_api.node import NodeStatus
from kubeswarm_api.operator_config import Funding
from kubeswarm_api.reports import AttestorReport, NodeReport, Phase
from kubeswarm_operator.decide.announcements import announcements
from kubeswarm_operator.decide.completion import progress
from kubeswarm_operator.decide.conditions import Claim, conditions
from kubeswarm_operator.decide.funding import DAY_SECONDS, WEI, Booking, recent, to_wei, top_ups, wanting
from kubeswarm_operator.decide.identity import swarm_id
from kubeswarm_operator.decide.node_status import NodeFacts, node_status
from kubeswarm_operator.decide.pressing import COMING, OUTAGE, PROGRESS, Pace, pace
from kubeswarm_operator.decide.replicas import WAVE, Replicas, replicas
from kubeswarm_operator.decide.rolling import rolling
from kubeswarm_operator.decide.swarm_nodes import swarm_nodes
from kubeswarm_operator.observe.snapshot import ChainFacts, Reports
from tests.unit.operator.things import NOW, SWARM_ID, node_object, node_snapshot, node_spec, swarm_snapshot, swarm_spec

NODE_ID = "0x" + "22" * 20
OWNER_A, OWNER_B = "0x" + "aa" * 20, "0x" + "bb" * 20


# --- a Swarm's Nodes ----------------------------------------------------------------------------------------
@given(wanted=st.integers(0, 12), existing=st.sets(st.integers(0, 15)), foreign=st.sets(st.integers(0, 15)))
def test_a_swarm_ends_with_exactly_its_lowest_indices(wanted: int, existing: set[int], foreign: set[int]) -> None:
    nodes = [node_object(index, owner="stranger" if index in foreign else "uid-s") for index in sorted(existing)]
    taken = frozenset(f"light-{index}" for index in existing & foreign)
    plan = swarm_nodes(swarm_snapshot(swarm_spec(nodes=wanted), nodes=tuple(nodes), taken=taken))
    assert set(plan.indices) == set(range(wanted)) - (existing & foreign)
    surplus = [node["spec"]["index"] for node in plan.surplus]
    assert surplus == sorted((existing - foreign) - set(range(wanted)), reverse=True)
    assert set(plan.taken) == {f"light-{index}" for index in existing & foreign if index < wanted}


# --- replicas -----------------------------------------------------------------------------------------------
@given(workers=st.integers(0, 1000), suspend=st.booleans(), complete=st.booleans())
def test_pods_run_unless_suspended_or_done(workers: int, suspend: bool, complete: bool) -> None:
    found = replicas(node_spec(rollout={"workers": workers}, suspend=suspend), complete, None, None)
    assert found == (Replicas(0, 0, 0) if suspend or complete else Replicas(1, min(workers, WAVE), workers))


@given(workers=st.integers(0, 1000), asked=st.integers(0, 1000), made=st.integers(0, 1000))
def test_rollout_pods_are_asked_for_in_waves(workers: int, asked: int, made: int) -> None:
    spec = node_spec(rollout={"workers": workers})
    found = replicas(spec, False, None, _deployment(asked, made))
    assert found.ready == workers
    assert found.rollout <= workers
    assert found.rollout >= min(asked, workers), "what was asked for is not taken back"
    assert found.rollout - asked <= WAVE
    if workers <= WAVE:
        assert found.rollout == workers, "few pods need no waves"


@given(workers=st.integers(0, 1000))
def test_the_waves_come_to_an_end(workers: int) -> None:
    spec, asked, waves = node_spec(rollout={"workers": workers}), 0, 0
    while asked < workers:
        now = replicas(spec, False, None, _deployment(asked, asked)).rollout
        assert replicas(spec, False, None, _deployment(now, now - 1)).rollout == now, "the next one waits for this one"
        asked, waves = now, waves + 1
    assert waves == -(-workers // WAVE)


def _deployment(asked: int, made: int) -> dict[str, Any]:
    return {"spec": {"replicas": asked}, "status": {"replicas": made}}


# --- completion ---------------------------------------------------------------------------------------------
COMPLETE = Condition(type="Complete", status="True", reason="RoundsComplete", last_transition_time="x")


@given(
    finished=st.integers(0, 30),
    phase=st.sampled_from([None, *Phase]),
    on_chain=st.integers(0, 30),
    said=st.integers(0, 30),
    configured=st.booleans(),
    reachable=st.booleans(),
    recorded=st.booleans(),
    status_round=st.integers(0, 30),
)
def test_complete_means_trained_and_attested(
    finished: int,
    phase: Phase | None,
    on_chain: int,
    said: int,
    configured: bool,
    reachable: bool,
    recorded: bool,
    status_round: int,
) -> None:
    report = NodeReport(phase=phase, round=finished) if phase else None
    attested = {(SWARM_ID, NODE_ID): on_chain} if reachable else {}
    chain = ChainFacts(configured=configured, asked=True, reachable=reachable, attested=attested)
    attestor = AttestorReport(node_id=NODE_ID, address=NODE_ID, attested_rounds=said)
    status = NodeStatus(round=status_round, conditions=[COMPLETE] if recorded else [])
    snapshot = node_snapshot(node_spec(rounds=24), reports=Reports(report, attestor), chain=chain, status=status)
    found = progress(snapshot, SWARM_ID, NODE_ID)
    if found.complete:
        assert found.round >= 24
        known = on_chain if reachable else said
        assert recorded or (phase == Phase.COMPLETE and (not configured or known >= 24))
    assert found.round == max(finished if report else 0, status_round), "what was finished is never unsaid"


def test_more_rounds_undo_completion() -> None:
    status = NodeStatus(round=24, conditions=[COMPLETE])
    assert progress(node_snapshot(node_spec(rounds=24), status=status), None, None).complete
    assert not progress(node_snapshot(node_spec(rounds=25), status=status), None, None).complete


def test_a_finished_nodes_attested_rounds_outlive_their_chain() -> None:
    """Seen where a development chain was made anew under a finished Swarm."""
    status = NodeStatus(round=24, attested_rounds=24, conditions=[COMPLETE])
    chain = ChainFacts(configured=True, asked=True, reachable=True, attested={(SWARM_ID, NODE_ID): 0})
    seen = node_snapshot(node_spec(rounds=24), status=status, chain=chain, pods=())
    found = progress(seen, SWARM_ID, NODE_ID)
    assert (found.attested, found.lost, found.complete) == (24, 24, True)
    told = node_status(seen, NodeFacts(SWARM_ID, NODE_ID, found, Replicas(0, 0, 0), (), False))
    synced = next(each for each in told.conditions if each.type == "ChainSynced")
    assert (told.attested_rounds, synced.status, synced.reason) == (24, "False", "ChainReset")
    assert "0 of 24 rounds" in synced.message
    again = progress(replace(seen, status=told), SWARM_ID, NODE_ID)
    assert again == found, "it stays so"
    training = replace(seen, status=status.model_copy(update={"conditions": []}))
    assert progress(training, SWARM_ID, NODE_ID).attested == 0, "who trains goes by the chain"


# --- identity -----------------------------------------------------------------------------------------------
def test_a_swarms_id_is_kept_once_it_is_on_a_chain() -> None:
    offline = swarm_id("uid", None, None)
    online = swarm_id("uid", OWNER_A, offline)
    assert offline != online
    assert swarm_id("uid", None, offline) == offline
    assert swarm_id("uid", OWNER_B, online) == online
    assert swarm_id("uid", None, online) == online
    assert swarm_id("other", OWNER_A, None) != online
    assert swarm_id("uid", OWNER_B, None) != online


# --- funding ------------------------------------------------------------------------------------------------
amounts = st.integers(0, 10 * WEI)


@given(
    balances=st.dictionaries(st.text("0123456789abcdef", min_size=4, max_size=4), amounts, max_size=8),
    available=amounts,
    spent=amounts,
)
def test_keys_are_funded_within_what_there_is(balances: dict[str, int], available: int, spent: int) -> None:
    funding = Funding(minimum="0.01", target="0.05", daily_budget="1")
    plan = top_ups(balances, available, spent, funding)
    paid = dict(plan.transfers)
    assert sum(paid.values()) <= max(0, min(available, WEI - spent))
    for address, balance in balances.items():
        needs = balance < to_wei("0.01")
        assert (address in paid or address in plan.unfunded) == needs
        if address in paid:
            assert balance + paid[address] == to_wei("0.05")
    assert not paid.keys() & set(plan.unfunded)


@given(st.decimals(0, 1000, places=18, allow_nan=False))
def test_ether_is_exact(ether: Decimal) -> None:
    assert to_wei(f"{ether:f}") == int(ether * WEI)


# --- conditions and Events ----------------------------------------------------------------------------------
statuses = st.sampled_from(["True", "False", "Unknown"])


@given(before=statuses, after=statuses)
def test_a_transitions_time_changes_only_with_the_status(before: str, after: str) -> None:
    old = Condition(type="Ready", status=before, reason="A", last_transition_time="2020-01-01T00:00:00Z")  # type: ignore[arg-type]
    claim = Claim(ConditionType.READY, after, Reason.TRAINING, "m")  # type: ignore[arg-type]
    (new,) = conditions([claim], [old], 5, NOW)
    expected = "2020-01-01T00:00:00Z" if before == after else "2030-01-01T12:00:00Z"
    assert new.last_transition_time == expected
    assert new.observed_generation == 5


def _condition(type: ConditionType, status: str, reason: str, message: str = "") -> Condition:
    return Condition(type=type, status=status, reason=reason, message=message, last_transition_time="x")  # type: ignore[arg-type]


def test_what_stays_is_not_told_again() -> None:
    degraded = _condition(ConditionType.DEGRADED, "True", "CrashLoop", "restarts: 1")
    assert [each.type for each in announcements([], [degraded])] == ["Warning"]
    again = degraded.model_copy(update={"message": "restarts: 2"})
    assert announcements([degraded], [again]) == []
    other = degraded.model_copy(update={"reason": "OutOfMemory"})
    assert [each.reason for each in announcements([degraded], [other])] == ["OutOfMemory"]


def test_news_is_told_once_and_a_healthy_start_is_none() -> None:
    healthy = _condition(ConditionType.DEGRADED, "False", "AsExpected")
    assert announcements([], [healthy]) == []
    ready = _condition(ConditionType.READY, "True", "Training", "all pods are ready")
    assert announcements([], [ready]) == [], "Kubernetes tells that the pods run"
    complete = _condition(ConditionType.COMPLETE, "True", "RoundsComplete", "all rounds are done")
    assert [each.type for each in announcements([], [complete])] == ["Normal"]
    recovered = announcements([_condition(ConditionType.DEGRADED, "True", "CrashLoop")], [healthy])
    assert [each.reason for each in recovered] == ["AsExpected"]
    unready = _condition(ConditionType.READY, "False", "PodNotReady")
    assert announcements([ready], [unready]) == []


# --- what is written at once ------------------------------------------------------------------------------
def _status(generation: int = 1, round: int = 0, **made: tuple[str, str]) -> NodeStatus:
    held = [_condition(ConditionType(kind), status, reason) for kind, (status, reason) in made.items()]
    return NodeStatus(observed_generation=generation, round=round, conditions=held)


NEW = NodeStatus()
CREATED = NodeStatus(conditions=[PENDING])
UNDER_WAY = _status(
    Ready=("False", "PodNotReady"), Degraded=("False", "AsExpected"), Complete=("False", "RoundsRemain")
)
RUNS = _status(Ready=("True", "Training"), Degraded=("False", "AsExpected"), Complete=("False", "RoundsRemain"))
BROKEN = _status(Ready=("False", "CrashLoop"), Degraded=("True", "CrashLoop"), Complete=("False", "RoundsRemain"))
OTHERWISE = _status(
    Ready=("False", "OutOfMemory"), Degraded=("True", "OutOfMemory"), Complete=("False", "RoundsRemain")
)
ALONE = RUNS.model_copy(
    update={"conditions": [*RUNS.conditions, *_status(ExchangeReady=("False", "ExchangeUnreachable")).conditions]}
)
DONE = _status(Ready=("False", "RoundsComplete"), Degraded=("False", "AsExpected"), Complete=("True", "RoundsComplete"))


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        (NEW, UNDER_WAY, COMING),
        (CREATED, UNDER_WAY, COMING),
        (CREATED, _status(Ready=("False", "Pending")), COMING),
        (UNDER_WAY, UNDER_WAY.model_copy(update={"rollout_replicas": 1}), COMING),
        (RUNS, RUNS.model_copy(update={"round": 1}), PROGRESS),
        (DONE, DONE.model_copy(update={"attested_rounds": 1}), PROGRESS),
        (RUNS, ALONE, OUTAGE),
        (ALONE, RUNS, OUTAGE),
        (UNDER_WAY, ALONE, None),
        (NEW, _status(Ready=("False", "PodNotReady"), ChainSynced=("False", "ChainUnreachable")), OUTAGE),
        (NEW, _status(Ready=("False", "PodNotReady"), ChainSynced=("False", "Registering")), COMING),
        (UNDER_WAY, RUNS, None),
        (RUNS, UNDER_WAY, None),
        (NEW, BROKEN, None),
        (CREATED, BROKEN, None),
        (CREATED, RUNS, None),
        (UNDER_WAY, BROKEN, None),
        (BROKEN, OTHERWISE, None),
        (BROKEN, UNDER_WAY, None),
        (RUNS, DONE, None),
        (RUNS, RUNS.model_copy(update={"observed_generation": 2}), None),
    ],
)
def test_only_progress_waits(before: NodeStatus, after: NodeStatus, wanted: Pace | None) -> None:
    assert pace(before, after) == wanted


# --- rolling ------------------------------------------------------------------------------------------------
def test_rolling_while_old_pods_are_there() -> None:
    sts = {
        "kind": "StatefulSet",
        "metadata": {"generation": 2},
        "spec": {"replicas": 1},
        "status": {"observedGeneration": 2, "replicas": 1},
    }
    old = {**sts, "status": {**sts["status"], "updatedReplicas": 0}}
    assert rolling([old])
    assert not rolling([{**sts, "status": {**sts["status"], "updatedReplicas": 1}}])
    assert rolling([{**sts, "metadata": {"generation": 3}}])
    assert not rolling([])


def test_a_day_of_transfers_counts_and_a_clock_that_was_set_back_frees_nothing():
    now = 10 * DAY_SECONDS
    bookings = [Booking(now - DAY_SECONDS, 1), Booking(now - DAY_SECONDS + 1, 2), Booking(now + 3600, 4)]
    assert sum(each.wei for each in recent(bookings, now)) == 6


def test_only_keys_under_the_minimum_want_money():
    funding = Funding(minimum="0.01", target="0.05", daily_budget="1")
    assert wanting({"a": WEI, "b": 5, "c": WEI // 100, "d": 0}, funding) == ["d", "b"]
    assert wanting({"a": WEI // 100}, funding) == []
