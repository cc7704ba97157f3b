"""Definitions that are older than the operator are named, with the fields that they lack."""

from copy import deepcopy
from typing import Any

import pytest

from kubeswarm_api.crd import node_crd, swarm_crd
from kubeswarm_operator.definitions import older


def _document(*definitions: dict[str, Any]) -> dict[str, Any]:
    """As the API server publishes them."""
    schemas = {
        each["metadata"]["name"]: {
            **each["spec"]["versions"][0]["schema"]["openAPIV3Schema"],
            "x-kubernetes-group-version-kind": [
                {"group": "kubeswarm.dev", "version": "v1alpha1", "kind": each["spec"]["names"]["kind"]}
            ],
        }
        for each in definitions
    }
    return {"components": {"schemas": deepcopy(schemas)}}


def _spec(document: dict[str, Any], name: str) -> dict[str, Any]:
    return document["components"]["schemas"][name]["properties"]["spec"]["properties"]


def test_its_own_definitions_and_later_ones_are_enough() -> None:
    document = _document(swarm_crd(), node_crd())
    assert older(document) == ""
    _spec(document, "swarms.kubeswarm.dev")["later"] = {"type": "string"}
    assert older(document) == ""


@pytest.mark.parametrize(
    ("path", "named"),
    [
        (("update",), "spec.update"),
        (("update", "rollback"), "spec.update.rollback"),
        (("environment", "reasoningGym", "tasks", "[]", "weight"), "spec.environment.reasoningGym.tasks[].weight"),
    ],
)
def test_a_field_that_is_missing_at_any_depth_is_named(path: tuple[str, ...], named: str) -> None:
    document = _document(swarm_crd(), node_crd())
    parent: dict[str, Any] = {"properties": _spec(document, "swarms.kubeswarm.dev")}
    for name in path[:-1]:
        parent = parent["items"] if name == "[]" else parent["properties"][name]
    del parent["properties"][path[-1]]
    told = older(document)
    assert f"swarms.kubeswarm.dev is older than this operator: it lacks {named};" in told
    assert "swarmnodes" not in told and "kubectl apply --server-side" in told


def test_all_of_a_definition_may_be_missing() -> None:
    told = older(_document(swarm_crd()))
    assert "swarmnodes.kubeswarm.dev is older than this operator: it lacks apiVersion, kind, metadata, spec" in told
