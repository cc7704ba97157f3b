"""Specs and statuses are parsed once, and what another version wrote costs no memory of what was done."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_api.conditions import Condition, ConditionType
from kubeswarm_api.node import NodeSpec, NodeStatus
from kubeswarm_operator.observe.parsing import Memo, parse_spec, parse_status, wrote_status
from tests.cluster.manifests import TRAINING

COMPLETE = Condition(
    type="Complete", status="True", reason="RoundsComplete", last_transition_time="2030-01-01T00:00:00Z"
)
SPEC = {**TRAINING, "swarm": {"name": "light"}}


def live(status: Any = None, spec: Any = SPEC, uid: str = "u", version: int = 1, generation: int = 1) -> dict[str, Any]:
    meta = {"uid": uid, "resourceVersion": str(version), "generation": generation}
    return {"metadata": meta, "spec": spec, "status": status}


def test_a_spec_is_parsed_once_a_generation() -> None:
    first, _ = parse_spec(NodeSpec, live(uid="s"))
    assert parse_spec(NodeSpec, live(uid="s", version=2))[0] is first
    changed, _ = parse_spec(NodeSpec, live(spec={**SPEC, "rounds": 7}, uid="s", version=3, generation=2))
    assert changed is not None and changed.rounds == 7


def test_a_status_is_parsed_once_a_version() -> None:
    first = parse_status(NodeStatus, live({"round": 1}, uid="t"))
    assert parse_status(NodeStatus, live({"round": 1}, uid="t")) is first
    assert parse_status(NodeStatus, live({"round": 2}, uid="t", version=2)).round == 2
    written = NodeStatus(round=3)
    wrote_status(live(uid="t", version=3), written)
    assert parse_status(NodeStatus, live({"round": 3}, uid="t", version=3)) is written


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "reward": st.sampled_from([None, 3, "0.5", "far too long for a reward"]),
            "inventedLater": st.text(max_size=3),
            "heldOut": st.sampled_from([{"items": 3, "inventedLater": 1}, {"items": "many"}, 7]),
            "conditions": st.lists(
                st.sampled_from([{"type": 7}, {}, {**COMPLETE.to_json(), "inventedLater": 1}, "x"]), max_size=3
            ),
        },
    )
)
def test_what_can_be_used_of_a_status_stays(strange: dict[str, Any]) -> None:
    conditions = [*strange.pop("conditions", []), COMPLETE.to_json()]
    status = parse_status(NodeStatus, {"metadata": {}, "status": {"round": 24, **strange, "conditions": conditions}})
    assert status.round == 24
    assert COMPLETE in status.conditions
    assert all(condition.type == ConditionType.COMPLETE for condition in status.conditions)


def test_memory_is_bounded() -> None:
    memo: Memo[int] = Memo(2)
    assert [memo.get(uid, 1, lambda i=i: i) for i, uid in enumerate("abc")] == [0, 1, 2]
    assert memo.get("a", 1, lambda: 9) == 9, "the oldest is forgotten"
    assert memo.get("c", 1, lambda: 9) == 2
