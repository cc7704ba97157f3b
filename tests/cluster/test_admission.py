"""What the API server refuses, with which words; what it fills in; what it can explain."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from kubeswarm_api.conditions import PENDING, Condition
from kubeswarm_api.swarm import SwarmSpec
from tests.cluster.control_plane import ControlPlane, Refusal
from tests.cluster.manifests import merged, node, swarm

#: (what is wrong, changes to a good spec, words that the refusal must have: the field, and the remedy)
BAD_SWARMS: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("no model", {"model": None}, ("spec.model", "Required value")),
    ("no environment", {"environment": None}, ("spec.environment", "Required value")),
    ("model from nowhere", {"model": {"image": None}}, ("spec.model", "set exactly one of image, claim, hub")),
    ("model from two places", {"model": {"claim": "models"}}, ("spec.model", "set exactly one of image, claim, hub")),
    ("hub without an owner", {"model": {"image": None, "hub": "gpt2"}}, ("spec.model.hub", "must be owner/name")),
    ("path out of the model", {"model": {"path": "../etc"}}, ("spec.model.path", "must be a relative directory")),
    ("rank 0", {"model": {"lora": {"rank": 0}}}, ("spec.model.lora.rank", "greater than or equal to 1")),
    ("no kind of environment", {"environment": {"reasoningGym": None}}, ("spec.environment", "set exactly one of")),
    (
        "no tasks",
        {"environment": {"reasoningGym": {"tasks": []}}},
        ("spec.environment.reasoningGym.tasks", "should have at least 1 items"),
    ),
    (
        "task with a capital",
        {"environment": {"reasoningGym": {"tasks": [{"name": "ChainSum"}]}}},
        ("tasks[0].name", "must be a dataset of reasoning-gym"),
    ),
    (
        "rewards that are all 0",
        {"environment": {"reasoningGym": {"reward": {"format": 0, "similarity": 0, "exact": 0}}}},
        ("reasoningGym.reward", "at least one of format, similarity and exact must be over 0"),
    ),
    ("no rounds", {"rounds": 0}, ("spec.rounds", "greater than or equal to 1")),
    ("negative nodes", {"nodes": -1}, ("spec.nodes", "greater than or equal to 0")),
    ("too many nodes", {"nodes": 1001}, ("spec.nodes", "less than or equal to 1000")),
    ("groups of one", {"algorithm": {"groupSize": 1}}, ("spec.algorithm.groupSize", "greater than or equal to 2")),
    (
        "too many completions",
        {"algorithm": {"prompts": 1024, "groupSize": 256}},
        ("spec.algorithm", "over 16384 completions a round: lower one of them"),
    ),
    (
        "negative learning rate",
        {"algorithm": {"learningRate": -1}},
        ("spec.algorithm.learningRate", "greater than or equal to 0"),
    ),
    ("clip of 1", {"algorithm": {"clipLow": 1}}, ("spec.algorithm.clipLow", "less than 1")),
    (
        "truncation under 1",
        {"algorithm": {"correction": {"cap": 0.5}}},
        ("spec.algorithm.correction.cap", "greater than or equal to 1"),
    ),
    ("unknown algorithm", {"algorithm": {"preset": "ppo"}}, ("spec.algorithm.preset", 'supported values: "grpo"')),
    (
        "a lower clip that cispo has no use for",
        {"algorithm": {"preset": "cispo", "clipLow": 0.2}},
        ("spec.algorithm.clipLow", "leave it out, or set surrogate to clip"),
    ),
    (
        "a clip of nothing",
        {"algorithm": {"preset": "rloo", "clipHigh": 0.2}},
        ("spec.algorithm.clipHigh", "set surrogate to clip or cispo"),
    ),
    (
        "a clip with no bound",
        {"algorithm": {"surrogate": "unclipped", "correction": {"kind": "clip"}}},
        ("spec.algorithm.correction", "set surrogate to clip or cispo"),
    ),
    (
        "a cap without a weight",
        {"algorithm": {"correction": {"kind": "none", "cap": 2}}},
        ("spec.algorithm.correction", "correction.cap bounds nothing here"),
    ),
    (
        "a floor of tis",
        {"algorithm": {"correction": {"floor": 0.5}}},
        ("spec.algorithm.correction", "set correction.kind to icepop"),
    ),
    (
        "a level without a weight",
        {"algorithm": {"preset": "cispo", "correction": {"level": "sequence"}}},
        ("spec.algorithm.correction", "correction.level says nothing without a weight"),
    ),
    ("decay to no end", {"algorithm": {"decay": "cosine"}}, ("spec.algorithm.decay", "needs decayRounds")),
    (
        "decay within the warm-up",
        {"algorithm": {"decay": "linear", "decayRounds": 24, "warmupRounds": 24}},
        ("spec.algorithm.decayRounds", "must be over warmupRounds"),
    ),
    (
        "rounds after the decay",
        {"algorithm": {"decay": "linear", "decayRounds": 23}},
        ("spec.rounds", "raise decayRounds or lower rounds"),
    ),
    ("more updates than prompts", {"algorithm": {"updates": 9}}, ("spec.algorithm.updates", "raise prompts")),
    (
        "an empty band of rewards",
        {"algorithm": {"minMeanReward": 0.5, "maxMeanReward": 0.5}},
        ("spec.algorithm.minMeanReward", "must be under maxMeanReward"),
    ),
    ("frozen sampling", {"rollout": {"temperature": 0}}, ("spec.rollout.temperature", "greater than 0")),
    ("too many workers", {"rollout": {"workers": 5000}}, ("spec.rollout.workers", "less than or equal to 1000")),
    ("a scale that never begins", {"rollout": {"maxWorkers": 4}}, ("spec.rollout.maxWorkers", "raise workers")),
    (
        "a scale turned round",
        {"rollout": {"workers": 5, "maxWorkers": 4}},
        ("spec.rollout.maxWorkers", "at most maxWorkers"),
    ),
    (
        "an update in flight beside none",
        {"async": {"inFlightAfter": 8}},
        ("spec.async.inFlightAfter", "needs async.maxStaleness 1"),
    ),
    (
        "an update in flight that never comes",
        {"async": {"maxStaleness": 1, "inFlightAfter": 64}, "rollout": {"maxTokens": 64}},
        ("spec.async", "under rollout.maxTokens"),
    ),
    (
        "no Node at a time",
        {"update": {"maxUnavailable": 0}},
        ("spec.update.maxUnavailable", "greater than or equal to 1"),
    ),
    ("negative sharing", {"sharing": {"external": -1}}, ("spec.sharing.external", "greater than or equal to 0")),
    ("evaluation every 0", {"evaluation": {"every": 0}}, ("spec.evaluation.every", "greater than or equal to 1")),
    ("size in words", {"storage": {"size": "large"}}, ("spec.storage.size", "such as 10Gi")),
    ("suspend as text", {"suspend": "yes"}, ("spec.suspend", "must be of type boolean")),
    ("attest never", {"attest": {"rounds": 0}}, ("spec.attest.rounds", "greater than or equal to 1")),
    ("a field that isn't there", {"nodez": 2}, ('unknown field "spec.nodez"',)),
    ("a nested one", {"rollout": {"worker": 2}}, ('unknown field "spec.rollout.worker"',)),
    ("template that is no map", {"template": {"head": {"spec": "big"}}}, ("spec.template.head.spec", "type object")),
]

BAD_NODES: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("no swarm", {"swarm": None}, ("spec.swarm", "Required value")),
    ("empty swarm", {"swarm": {"name": None}}, ("spec.swarm", "set exactly one of name, join")),
    (
        "malformed id",
        {"swarm": {"name": None, "join": {"swarmId": "0xABC", "credentials": "creds"}}},
        ("spec.swarm.join.swarmId", "must be 0x and 64 digits"),
    ),
    (
        "join without credentials",
        {"swarm": {"name": None, "join": {"swarmId": "0x" + "0" * 64}}},
        ("spec.swarm.join.credentials", "Required value"),
    ),
]

BAD_NAMES = [
    ("n" * 41, "metadata.name may have 40 characters at most"),
    ("two.parts", "metadata.name must begin with a letter and hold only a-z, 0-9 and -"),
    ("1st", "metadata.name must begin with a letter"),
]

#: (what changes, the changes, words of the refusal)
BAD_UPDATES: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("seed", {"seed": 1}, ("spec.seed", "make a new Swarm")),
    ("model", {"model": {"image": "another:v1"}}, ("spec.model", "make a new Swarm")),
    ("smaller storage", {"storage": {"size": "1Gi"}}, ("spec.storage.size", "can't shrink")),
    ("storage class", {"storage": {"storageClassName": "fast"}}, ("spec.storage", "storageClassName can't be changed")),
]


@pytest.mark.parametrize(("wrong", "changes", "words"), BAD_SWARMS, ids=[case[0] for case in BAD_SWARMS])
def test_refuses_a_swarm(
    cluster: ControlPlane, namespace: str, wrong: str, changes: dict[str, Any], words: tuple[str, ...]
) -> None:
    _refused(cluster, swarm(namespace, **changes), words)


@pytest.mark.parametrize(("wrong", "changes", "words"), BAD_NODES, ids=[case[0] for case in BAD_NODES])
def test_refuses_a_node(
    cluster: ControlPlane, namespace: str, wrong: str, changes: dict[str, Any], words: tuple[str, ...]
) -> None:
    _refused(cluster, node(namespace, **changes), words)


@pytest.mark.parametrize(("name", "words"), BAD_NAMES)
def test_refuses_a_name(cluster: ControlPlane, namespace: str, name: str, words: str) -> None:
    _refused(cluster, swarm(namespace, name), (words,))


@pytest.mark.parametrize(("what", "changes", "words"), BAD_UPDATES, ids=[case[0] for case in BAD_UPDATES])
def test_refuses_a_change(
    cluster: ControlPlane, namespace: str, what: str, changes: dict[str, Any], words: tuple[str, ...]
) -> None:
    good = swarm(namespace)
    cluster.apply(good)
    _refused(cluster, merged(good, {"spec": changes}), words)


def test_refuses_to_move_a_node(cluster: ControlPlane, namespace: str) -> None:
    cluster.apply(node(namespace))
    _refused(cluster, node(namespace, swarm={"name": "other"}), ("spec.swarm", "make a new Node"))
    _refused(cluster, node(namespace, index=7), ("spec.index", "make a new Node"))


def test_takes_a_learning_rate_of_0(cluster: ControlPlane, namespace: str) -> None:
    cluster.apply(swarm(namespace, algorithm={"learningRate": 0, "preset": "cispo", "clipHigh": 3}))


def test_takes_a_change_in_flight(cluster: ControlPlane, namespace: str) -> None:
    cluster.apply(swarm(namespace))
    cluster.apply(swarm(namespace, nodes=3, rounds=48, storage={"size": "20Gi"}, rollout={"workers": 2}, suspend=True))


def _refused(cluster: ControlPlane, manifest: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(Refusal) as refusal:
        cluster.apply(manifest)
    for word in words:
        assert word in str(refusal.value)


def test_shows_every_default_in_the_stored_object(cluster: ControlPlane, namespace: str) -> None:
    cluster.apply(swarm(namespace))
    stored = cluster.get(namespace, "swarm", "light")
    assert stored is not None
    assert stored["spec"] == SwarmSpec.model_validate(swarm(namespace)["spec"]).to_json()


@pytest.mark.parametrize(("make", "kind"), [(swarm, "swarm"), (node, "swarmnode")])
def test_says_what_a_new_object_waits_for(
    cluster: ControlPlane, namespace: str, make: Callable[..., dict[str, Any]], kind: str
) -> None:
    """Before the operator's first word, and though a status can't be given with an object."""
    body = make(namespace, "fresh")
    cluster.apply({**body, "status": {"round": 7}})
    status = (cluster.get(namespace, kind, "fresh") or {})["status"]
    assert [Condition.model_validate(each) for each in status["conditions"]] == [PENDING]
    assert (status["observedGeneration"], status["round"]) == (0, 0)
    assert "Pending" in cluster.kubectl("-n", namespace, "get", kind, "fresh")


def test_explains_every_field(cluster: ControlPlane) -> None:
    document = json.loads(cluster.kubectl("get", "--raw", "/openapi/v3/apis/kubeswarm.dev/v1alpha1"))
    schemas = document["components"]["schemas"]
    bare = [
        f"{kind}.{path}"
        for kind in ("Swarm", "Node")
        for path, field in _fields(schemas[f"dev.kubeswarm.v1alpha1.{kind}"])
        if not field.get("description")
    ]
    assert bare == []
    assert "Rollout pods a Node" in cluster.kubectl("explain", "swarm.spec.rollout.workers")


def _fields(schema: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    for name, field in schema.get("properties", {}).items():
        found.append((f"{path}{name}", field))
        if name != "metadata":
            found += _fields(field, f"{path}{name}.")
            found += _fields(field.get("items", {}), f"{path}{name}[].")
    return found
