"""A change of a Node's pods that doesn't come through is taken back, and what it goes back to is what was there."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_api.conditions import Condition
from kubeswarm_api.node import Change, NodeStatus
from kubeswarm_api.spec_life import Update
from kubeswarm_operator.build.network_policy import Peers
from kubeswarm_operator.build.objects import objects
from kubeswarm_operator.build.revision import controller_revision
from kubeswarm_operator.decide.children import differs
from kubeswarm_operator.decide.completion import progress
from kubeswarm_operator.decide.node_status import NodeFacts, node_status
from kubeswarm_operator.decide.replicas import Replicas
from kubeswarm_operator.decide.rollback import (
    KEPT,
    begun,
    judged,
    on_trial,
    proven,
    restored,
    revision_of,
    worth_keeping,
)
from kubeswarm_operator.decide.swarm_nodes import swarm_nodes
from kubeswarm_operator.decide.swarm_status import swarm_status
from kubeswarm_operator.decide.turns import Member, has_turn
from tests.unit.operator.things import (
    IMAGES,
    NOW,
    OWNER,
    SWARM_ID,
    node_config,
    node_object,
    node_snapshot,
    node_spec,
    pod,
    swarm_snapshot,
    swarm_spec,
)

GOOD, BAD = "a" * 32, "b" * 32
UPDATE = Update(progress_deadline_seconds=60)
DEGRADED = Condition(
    type="Degraded", status="True", reason="ImagePullFailed", message="no such image", last_transition_time="x"
)


def _status(change: Change | None, revision: str | None = GOOD) -> NodeStatus:
    return NodeStatus(revision=revision, change=change, conditions=[DEGRADED])


def test_a_change_that_is_not_ready_in_time_has_failed_and_says_why() -> None:
    change = begun(BAD, True, NOW)
    before = judged(_status(change), BAD, UPDATE, True, NOW + timedelta(seconds=59))
    assert before == change
    after = judged(_status(change), BAD, UPDATE, True, NOW + timedelta(seconds=60))
    assert after is not None and after.failed == "not ready within 60 s: no such image"
    assert judged(_status(after), BAD, UPDATE, True, NOW + timedelta(days=9)) == after, "it stays so"


def test_a_change_that_breaks_off_has_failed_before_its_time() -> None:
    change = begun(BAD, True, NOW)
    after = judged(_status(change), BAD, UPDATE, True, NOW, broken="9 restarts")
    assert (after, on_trial(change)) == (change.model_copy(update={"failed": "9 restarts"}), True)
    assert not on_trial(after)
    assert not on_trial(begun(BAD, False, NOW)), "nothing runs with it yet"


def test_nothing_is_on_trial_that_came_through_or_is_no_longer_wanted() -> None:
    late = NOW + timedelta(days=1)
    change = begun(BAD, True, NOW)
    assert judged(_status(change, revision=BAD), BAD, UPDATE, True, late) is None, "it was ready with it"
    assert judged(_status(change), GOOD, UPDATE, True, late) is None, "it was set back"
    assert judged(_status(change), BAD, None, True, late) is None, "a Node that stands alone"
    failed = change.model_copy(update={"failed": "not ready"})
    assert judged(_status(failed), "c" * 32, UPDATE, True, late) is None, "another edit is another try"
    forced = UPDATE.model_copy(update={"rollback": False})
    assert judged(_status(failed), BAD, forced, True, late) is None, "the user insists"


def test_the_clock_of_a_trial_stands_still_while_no_pod_is_wanted_and_in_a_pause() -> None:
    late = NOW + timedelta(days=1)
    change = begun(BAD, True, NOW)
    stopped = judged(_status(change), BAD, UPDATE, False, late)
    assert stopped == Change(revision=BAD)
    assert judged(_status(stopped), BAD, UPDATE, True, late) == begun(BAD, True, late)
    paused = UPDATE.model_copy(update={"paused": True})
    assert judged(_status(change), BAD, paused, True, late) == change


@given(
    passes=st.lists(
        st.tuples(st.integers(0, 40), st.booleans(), st.sampled_from([GOOD, BAD])), min_size=1, max_size=20
    ),
    deadline=st.integers(1, 100),
)
def test_a_trial_fails_only_after_its_deadline_and_only_for_what_is_wanted(
    passes: list[tuple[int, bool, str]], deadline: int
) -> None:
    """Whatever passes there are: no verdict before pods have been asked for that long, none against what is good."""
    update = Update(progress_deadline_seconds=deadline)
    change: Change | None = begun(BAD, True, NOW)
    now, running = NOW, NOW
    for seconds, runs, wanted in passes:
        now += timedelta(seconds=seconds)
        before = change
        change = judged(_status(change), wanted, update, runs, now)
        if wanted == GOOD:
            assert change is None
            return
        assert change is not None and change.revision == BAD
        if before is not None and before.failed:
            assert change == before
        elif not runs:
            assert (change.since, change.failed) == ("", "")
        elif before is not None and not before.since:
            running = now
            assert not change.failed
        else:
            assert bool(change.failed) == (now - running >= timedelta(seconds=deadline))


def _objects(**changes: Any) -> list[dict[str, Any]]:
    spec = node_spec(**changes)
    count = Replicas(1, spec.rollout.workers, spec.rollout.workers)
    return objects(
        OWNER, spec, node_config(spec), IMAGES, Peers("system", None, None, hub=False), count, ("t", "n"), None
    )


def _live(manifests: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """As the API server would have them: with a default of its own in each template."""
    out: dict[tuple[str, str], dict[str, Any]] = {}
    for each in manifests:
        body = {**each, "metadata": {**each["metadata"], "uid": each["metadata"]["name"], "resourceVersion": "7"}}
        if "template" in body.get("spec", {}):
            template = body["spec"]["template"]
            filled = {**template, "spec": {**template["spec"], "dnsPolicy": "ClusterFirst"}}
            body["spec"] = {**body["spec"], "template": filled}
        out[body["kind"], body["metadata"]["name"]] = {**body, "status": {"replicas": 1}}
    return out


CHANGES: list[dict[str, Any]] = [
    {"template": {"head": {"spec": {"nodeSelector": {"disk": "fast"}}}}},
    {"template": {"rollout": {"spec": {"nodeSelector": {"disk": "fast"}}}}},
    {"algorithm": {"maxGradNorm": 0.5}},
    {"rollout": {"workers": 0}, "algorithm": {"maxGradNorm": 0.5}},
]


@pytest.mark.parametrize("changed", CHANGES)
def test_what_a_node_goes_back_to_is_what_it_had(changed: dict[str, Any]) -> None:
    """Through the ControllerRevision and back: no pod of the earlier template would be replaced."""
    had = _objects(rollout={"workers": 2})
    live = _live(had)
    kept = controller_revision(OWNER, revision_of(had), 4, worth_keeping(live, OWNER.uid))["data"]["objects"]
    assert {each["kind"] for each in kept} == set(KEPT)
    assert all("status" not in each and "resourceVersion" not in each["metadata"] for each in kept)
    wanted = _objects(**{"rollout": {"workers": 2}, **changed})
    assert revision_of(wanted) != revision_of(had)
    back = restored(wanted, kept, True)
    assert revision_of(back) == revision_of(had) == revision_of(live.values())
    for manifest in back:
        if manifest["kind"] in KEPT:
            before = live[manifest["kind"], manifest["metadata"]["name"]]
            assert not differs({**before, "metadata": {**before["metadata"], **manifest["metadata"]}}, manifest)
    assert [each for each in back if each["kind"] not in KEPT] == [e for e in wanted if e["kind"] not in KEPT]


def test_how_many_pods_there_are_stays_as_it_is_wanted() -> None:
    kept = worth_keeping(_live(_objects(rollout={"workers": 2})), OWNER.uid)
    counts = {
        each["kind"]: each["spec"]["replicas"]
        for each in restored(_objects(rollout={"workers": 5}), kept, True)
        if "replicas" in each.get("spec", {})
    }
    assert counts == {"StatefulSet": 1, "Deployment": 5}
    nobody = restored(_objects(rollout={"workers": 0}), kept, False)
    assert [each["spec"]["replicas"] for each in nobody if each["kind"] == "Deployment"] == [0]


def test_a_revision_is_proven_once_the_node_was_ready_with_it_for_long_enough() -> None:
    manifests = _objects()
    mark, change = revision_of(manifests), Change(revision=revision_of(manifests), since="2030-01-01T11:00:00Z")
    young = pod()
    young["status"]["conditions"][0]["lastTransitionTime"] = (NOW - timedelta(seconds=9)).isoformat()
    seen = node_snapshot(children=_live(manifests), status=_status(change), pods=(young,))
    assert proven(seen, Update(), None, ready=True) == mark, "nothing is on trial"
    assert proven(seen, Update(), change, ready=False) == GOOD
    assert proven(seen, Update(), change, ready=True) == GOOD, "too young"
    assert proven(seen, Update(min_ready_seconds=9), change, ready=True) == mark
    done = progress(seen, None, None)
    facts = NodeFacts(SWARM_ID, None, done, Replicas(1, 0, 0), (), False, update=Update(), change=change)
    still = node_status(seen, facts)
    assert (still.revision, still.change) == (GOOD, change)
    through = node_status(seen, replace(facts, update=Update(min_ready_seconds=9)))
    assert (through.revision, through.change) == (mark, None), "one write tells both"


def test_a_node_whose_change_begins_does_not_say_that_it_is_ready() -> None:
    """With the change goes on record what is seen then: pods may be gone since the status before."""
    manifests = _objects()
    change = begun(BAD, True, NOW)
    for pods in ((pod(),), ()):
        seen = node_snapshot(children=_live(manifests), status=_status(None), pods=pods)
        facts = NodeFacts(SWARM_ID, None, progress(seen, None, None), Replicas(1, 0, 0), (), False, update=Update())
        still = {each.type: each for each in node_status(seen, facts).conditions}
        assert still["Ready"].status == ("True" if pods else "False")
        status = node_status(seen, replace(facts, change=change))
        assert status.change == change
        assert next(each for each in status.conditions if each.type == "Ready").status == "False"


def test_node_and_swarm_say_what_was_taken_back_and_the_next_step() -> None:
    failed = begun(BAD, True, NOW).model_copy(update={"failed": "not ready within 60 s: no such image"})
    seen = node_snapshot(status=_status(failed))
    facts = NodeFacts(SWARM_ID, None, progress(seen, None, None), Replicas(1, 0, 0), (), False, change=failed)
    status = node_status(seen, facts)
    held = {each.type: each for each in status.conditions}
    assert (held["Progressing"].status, held["Progressing"].reason) == ("True", "RolledBack")
    assert (held["Ready"].status, held["Degraded"].status) == ("True", "False")
    around = swarm_snapshot(swarm_spec(nodes=2), nodes=(node_object(0, status), node_object(1, NodeStatus())))
    told = swarm_status(around, SWARM_ID, swarm_nodes(around))
    progressing = next(each for each in told.conditions if each.type == "Progressing")
    assert (progressing.status, progressing.reason, told.updated_nodes) == ("False", "RolledBack", 1)
    for word in ("light-0", BAD[:10], GOOD[:10], "no such image", "set the changed fields back"):
        assert word in progressing.message


def test_no_other_node_gets_a_change_that_one_went_back_from() -> None:
    failed = begun(BAD, True, NOW).model_copy(update={"failed": "not ready"})
    other = Member(node_object(1, NodeStatus(change=failed)), (), ())
    mine = Member(node_object(0), (), ())
    most = Update(max_unavailable=9)
    assert not has_turn(mine, [other], most, NOW)
    tried = replace(other, node=node_object(1, NodeStatus(change=begun(BAD, True, NOW))))
    assert has_turn(mine, [tried], most, NOW)
