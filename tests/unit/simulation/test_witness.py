"""The witness's judgement: when Ready was claimed without ground."""

from typing import Any

import pytest

from tests.simulation.witness import LAG, Gap, Sight, ungrounded

LATE = max(LAG.values()) + 1


def _pod(name: str, role: str, ready: bool) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": name, "labels": {"kubeswarm.dev/node": "a-0", "kubeswarm.dev/role": role}},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def _owner(kind: str, generation: int, workers: int, ready: bool, observed: int | None = None) -> dict[str, Any]:
    status = {"observedGeneration": observed or generation, "conditions": [{"type": "Ready", "status": str(ready)}]}
    meta = {"name": "a-0" if kind == "Node" else "a", "uid": kind, "generation": generation}
    spec = {"nodes": 1, "rollout": {"workers": workers}}
    return {"kind": kind, "metadata": meta, "spec": spec, "status": status}


def _judged(*told: tuple[float, dict[str, Any]]) -> list[str]:
    return list(ungrounded([Sight(at, version, False, body) for version, (at, body) in enumerate(told)]))


@pytest.mark.parametrize("kind", ["Node", "Swarm"])
def test_ready_with_all_pods_ready_has_ground(kind: str) -> None:
    assert not _judged(
        (0, _owner(kind, 1, 1, False)),
        (1, _pod("h", "head", True)),
        (2, _pod("r", "rollout", True)),
        (3, _owner(kind, 1, 1, True)),
    )


@pytest.mark.parametrize("kind", ["Node", "Swarm"])
def test_ready_with_a_pod_that_never_was_has_none(kind: str) -> None:
    (words,) = _judged(
        (0, _owner(kind, 1, 1, False)),
        (1, _pod("h", "head", True)),
        (2, _pod("r", "rollout", False)),
        (2, _owner(kind, 1, 1, True)),
    )
    assert "Pod r (): Ready False" in words


def test_what_was_so_a_moment_ago_may_still_be_said_and_not_for_long() -> None:
    def judged(seconds: float) -> list[str]:
        return _judged(
            (0, _owner("Node", 1, 0, False)),
            (1, _pod("h", "head", True)),
            (2, _pod("h", "head", False)),
            (2 + seconds, _owner("Node", 1, 0, True)),
        )

    assert not judged(LAG["Node"] - 1.5)
    assert judged(LATE)


def test_a_change_that_is_written_late_is_not_older_for_that() -> None:
    told = [
        Sight(1, 1, False, _pod("h", "head", True)),
        Sight(2, 2, False, _pod("h", "head", False)),
        Sight(2 + LATE, 3, False, _owner("Node", 1, 0, True)),
    ]
    assert list(ungrounded(told))
    assert not list(ungrounded(told, asked={3: 2.5}))


def test_a_new_spec_needs_pods_of_its_own() -> None:
    """Three rollout pods are asked for, one is there: what was so for the spec before is no ground."""
    told = (
        (0.0, _owner("Swarm", 1, 1, False)),
        (1.0, _pod("h", "head", True)),
        (1.0, _pod("r", "rollout", True)),
        (1.1, _owner("Swarm", 1, 1, True)),
    )
    assert not _judged(*told, (1.2, _owner("Swarm", 2, 3, True, observed=1)))
    assert _judged(*told, (1.2, _owner("Swarm", 2, 3, True, observed=2)))


def test_who_writes_the_spec_says_nothing() -> None:
    """As an operator does that finds an edited Node when it is back, before it looks at the Node's pods."""
    told = (
        (0.0, _pod("h", "head", True)),
        (0.1, _owner("Node", 1, 0, True)),
        (1.0, _pod("h", "head", False)),
    )
    assert not _judged(*told, (1.0 + LATE, _owner("Node", 2, 0, True, observed=1)))
    assert _judged(*told, (1.0 + LATE, _owner("Node", 2, 0, True)))


def test_pods_that_a_spec_between_took_away_are_seen_late_like_any() -> None:
    suspended, resumed = _owner("Node", 2, 0, False), _owner("Node", 3, 0, True)
    gone = {**_pod("h", "head", False), "metadata": {**_pod("h", "head", False)["metadata"], "deletionTimestamp": "x"}}
    told = ((0.0, _pod("h", "head", True)), (1.0, suspended), (1.1, gone))
    assert not _judged(*told, (1.2, resumed))
    assert _judged(*told, (1.1 + LATE, resumed))


def test_of_what_may_have_had_its_ground_in_a_gap_nothing_is_said() -> None:
    later = _owner("Node", 1, 0, True)
    later["status"]["round"] = 1
    told = [
        Sight(0, 1, False, _owner("Node", 1, 0, False)),
        Sight(5, 10, False, _owner("Node", 1, 0, True)),
        Sight(5 + LATE, 20, False, later),
        Sight(5 + LATE, 21, False, _owner("Node", 3, 0, True, observed=2)),
    ]
    versions = [int(words.split()[6]) for words in ungrounded(told)]
    assert versions == [10, 20, 21]
    versions = [int(words.split()[6]) for words in ungrounded(told, [Gap(since=4, until=12, at=5)])]
    assert versions == [20], "the ground of 10, and the spec of 21, may have been there"
    versions = [int(words.split()[6]) for words in ungrounded(told, [Gap(since=19, until=20, at=5 + LATE)])]
    assert versions == [10]
