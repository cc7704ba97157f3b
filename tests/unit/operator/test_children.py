"""Which objects are written, and which go."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_operator.build.secrets import identity_secret
from kubeswarm_operator.build.service import head_service
from kubeswarm_operator.build.stateful_set import stateful_set
from kubeswarm_operator.decide.children import APPLIED_ANNOTATION, differs, obsolete, stamped
from kubeswarm_operator.decide.quantities import parse_quantity, same_quantity
from tests.unit.operator.things import IMAGES, OWNER, node_spec

HEAD = stamped(stateful_set(OWNER, node_spec(), IMAGES, "digest", 1, None))


def _live(manifest: dict[str, Any]) -> dict[str, Any]:
    """As the API server would store it: with things of its own."""
    live = deepcopy(manifest)
    live["metadata"] |= {"uid": "u", "resourceVersion": "7", "generation": 1}
    live["spec"]["updateStrategy"] = {"type": "RollingUpdate"}
    for container in live["spec"]["template"]["spec"]["containers"]:
        container["terminationMessagePath"] = "/dev/termination-log"
        container["env"].append({"name": "INJECTED", "value": "1"})
    live["status"] = {"replicas": 1}
    return live


def test_what_was_applied_is_not_written_again() -> None:
    assert not differs(_live(HEAD), HEAD)


def test_stamping_twice_is_stamping_once() -> None:
    assert stamped(HEAD) == HEAD


def test_what_is_absent_is_written() -> None:
    assert differs(None, HEAD)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [each for key, inner in value.items() for each in _paths(inner, (*path, key))]
    if isinstance(value, list):
        return [each for index, inner in enumerate(value) for each in _paths(inner, (*path, index))]
    return [path]


@given(st.sampled_from(_paths(HEAD["spec"])))
def test_any_changed_field_is_seen(path: tuple[Any, ...]) -> None:
    live = _live(HEAD)
    at: Any = live["spec"]
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = "changed" if at[path[-1]] != "changed" else "again"
    assert differs(live, HEAD)


def test_a_field_that_is_no_longer_wanted_is_seen() -> None:
    before = stamped(
        stateful_set(OWNER, node_spec(template={"head": {"spec": {"hostIPC": True}}}), IMAGES, "d", 1, None)
    )
    after = stamped(stateful_set(OWNER, node_spec(), IMAGES, "d", 1, None))
    assert differs(_live(before), after)


def test_quantities_are_compared_as_numbers() -> None:
    manifest = deepcopy(HEAD)
    manifest["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] = {"cpu": "2000m", "memory": "1024Mi"}
    live = _live(manifest)
    live["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] = {"cpu": "2", "memory": "1Gi"}
    assert not differs(live, manifest)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("1000m", "1", True), ("1024Mi", "1Gi", True), ("0.5", "500m", True), (1, "1", True), ("1e3", "1k", True),
        ("1G", "1Gi", False), ("abc", "abc", False), ("1", "2", False), (True, "1", False), ("", "", False),
    ],
)  # fmt: skip
def test_same_quantity(a: Any, b: Any, same: bool) -> None:
    assert same_quantity(a, b) is same


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_none(text: str) -> None:
    parse_quantity(text)


def test_a_secrets_content_is_no_part_of_its_stamp() -> None:
    with_key = stamped(identity_secret(OWNER, "0xabc", True, "0x01"))
    without = stamped(identity_secret(OWNER, "0xabc", True))
    marks = {each["metadata"]["annotations"][APPLIED_ANNOTATION] for each in (with_key, without)}
    assert len(marks) == 1
    assert not differs(with_key, without)


def test_an_owner_that_is_not_wanted_any_more_is_seen() -> None:
    owned, retained = (
        identity_secret(OWNER, "0xabc", retain=False),
        stamped(identity_secret(OWNER, "0xabc", retain=True)),
    )
    live = {**retained, "metadata": {**retained["metadata"], "ownerReferences": owned["metadata"]["ownerReferences"]}}
    assert differs(live, retained)


def test_only_ones_own_unwanted_objects_go() -> None:
    mine = head_service(OWNER)
    foreign = {**mine, "metadata": {**mine["metadata"], "ownerReferences": [{"uid": "other", "controller": True}]}}
    going = {**mine, "metadata": {**mine["metadata"], "deletionTimestamp": "x"}}
    orphan = {**mine, "metadata": {**mine["metadata"], "ownerReferences": []}}
    live = {("Service", f"s{i}"): each for i, each in enumerate((mine, foreign, going, orphan))}
    assert obsolete(live, [], OWNER.uid) == [mine]
    assert obsolete({("Service", "light-0-head"): mine}, [mine], OWNER.uid) == []
