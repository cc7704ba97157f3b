"""The CRDs say what the models say, document every field, and the samples fit them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeswarm_api import crd
from kubeswarm_api.node import NodeSpec
from kubeswarm_api.swarm import SwarmSpec

ROOT = Path(__file__).parents[2]
DEFINITIONS = {"Swarm": crd.swarm_crd(), "Node": crd.node_crd()}
SPECS = {"Swarm": SwarmSpec, "Node": NodeSpec}
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
SIZE_LIMIT = 256 * 1024


def fields(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from fields(field, f"{path}.{name}")
        yield from fields(field.get("items", {}), f"{path}.{name}[]")


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_a_definition_is_small_structural_and_documented(kind: str) -> None:
    definition = DEFINITIONS[kind]
    assert len(yaml.safe_dump(definition)) < SIZE_LIMIT
    top = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for part in ("spec", "status"):
        for path, field in fields(top["properties"][part], part):
            assert field["description"], f"{kind}.{path} has no description"
            assert {"$ref", "anyOf", "oneOf", "allOf"}.isdisjoint(field), path
            open_map = "additionalProperties" in field or "x-kubernetes-preserve-unknown-fields" in field
            assert field["type"] != "object" or "properties" in field or open_map, path


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_a_spec_reaches_no_other_namespace(kind: str) -> None:
    """What it names (Secrets, claims, ConfigMaps, Swarms) is looked for in its own namespace: none can be given."""
    spec = DEFINITIONS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert not [path for path, _ in fields(spec, "spec") if "namespace" in path.rpartition(".")[2].lower()]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_example_parses(example: Path) -> None:
    for document in yaml.safe_load_all(example.read_text(encoding="utf-8")):
        SPECS[document["kind"]].model_validate(document["spec"])


def test_there_are_examples() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_defaults_of_the_schema_are_the_models_own(kind: str) -> None:
    """What the API server fills in is what the model takes for granted."""
    spec = {
        "model": {"image": "example/model:v1"},
        "environment": {"reasoningGym": {"tasks": [{"name": "chain_sum"}]}},
        **({"swarm": {"name": "s"}} if kind == "Node" else {}),
    }
    schema = DEFINITIONS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert SPECS[kind].model_validate(_filled(spec, schema)) == SPECS[kind].model_validate(spec)
    assert _said(_filled(spec, schema)) == _said(SPECS[kind].model_validate(spec).to_json())


def _said(value: Any) -> Any:
    """`value` without maps that are empty: no default has to spell them out."""
    if isinstance(value, dict):
        return {name: said for name, field in value.items() if (said := _said(field)) != {}}
    return [_said(item) for item in value] if isinstance(value, list) else value


def _filled(value: Any, schema: dict[str, Any]) -> Any:
    """Defaulting as the API server does it."""
    if isinstance(value, list):
        return [_filled(item, schema["items"]) for item in value]
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    out = dict(value)
    for name, field in schema["properties"].items():
        if name not in out and "default" in field:
            out[name] = field["default"]
        if name in out:
            out[name] = _filled(out[name], field)
    return out
