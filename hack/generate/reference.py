"""Writes docs/reference/ from the code: the resources' fields, and the metrics. `python -m hack.generate.reference`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kubeswarm_api import crd, metrics
from kubeswarm_api.conditions import ConditionType, Reason

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
FIELDS_HEAD = "| field | type | default | limits | meaning |\n|---|---|---|---|---|"
HEADER = "<!-- Generated from the code by `make generate`. Do not edit. -->\n\n"


def _type(schema: dict[str, Any]) -> str:
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if schema.get("type") == "object" and "properties" not in schema:
        return "map"
    return str(schema.get("type", "any"))


def _limits(schema: dict[str, Any]) -> str:
    parts: list[str] = []
    if "enum" in schema:
        parts.append("one of " + ", ".join(f"`{value}`" for value in schema["enum"]))
    if "minimum" in schema:
        parts.append((">" if schema.get("exclusiveMinimum") else "≥") + f" {schema['minimum']}")
    if "maximum" in schema and schema["maximum"] < 2**53:
        parts.append(("<" if schema.get("exclusiveMaximum") else "≤") + f" {schema['maximum']}")
    if "pattern" in schema:
        parts.append(f"`{schema['pattern']}`".replace("|", "\\|"))
    return ", ".join(parts)


def _rows(schema: dict[str, Any], path: str) -> Iterator[str]:
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        default = json.dumps(field["default"]) if "default" in field else ("**required**" if name in required else "")
        yield f"| `{here}` | {_type(field)} | {default} | {_limits(field)} | {field.get('description', '')} |"
        if field.get("type") == "array":
            yield from _rows(field["items"], here + "[]")
        else:
            yield from _rows(field, here)


def _rules(schema: dict[str, Any], path: str) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", []):
        yield f"- `{path}`: {rule['message']}"
    for name, field in schema.get("properties", {}).items():
        yield from _rules(field, f"{path}.{name}")
        yield from _rules(field.get("items", {}), f"{path}.{name}[]")


def resources() -> str:
    """The page of the custom resources."""
    out = [HEADER + "# The resources\n"]
    for definition in (crd.swarm_crd(), crd.node_crd()):
        names = definition["spec"]["names"]
        top = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        out.append(f"## {names['kind']}\n\n{top['description']}\n")
        out.append(f"`kubectl get {names['plural']}`, short name `{names['shortNames'][0]}`.\n")
        for part in ("spec", "status"):
            out.append(f"### {names['kind']}.{part}\n\n{FIELDS_HEAD}")
            out += _rows(top["properties"][part], part)
            out.append("")
        out.append("Refused at admission beside the limits above:\n")
        out += _rules({"properties": top["properties"], **{k: top[k] for k in top if k != "properties"}}, names["kind"])
        out.append("")
    out.append("## Conditions\n\n" + ", ".join(f"`{kind}`" for kind in ConditionType) + ". Their reasons:\n")
    out.append(", ".join(f"`{reason}`" for reason in Reason) + ".\n")
    return "\n".join(out)


def metric_table() -> str:
    """The page of the metrics."""
    rows = [
        f"| `{metric.name}` | {metric.kind} | {', '.join(metric.labels)} | {metric.help} |" for metric in metrics.ALL
    ]
    return HEADER + "# Metrics\n\n| name | kind | labels | meaning |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"


def main() -> None:
    """Writes the pages."""
    REFERENCE.mkdir(parents=True, exist_ok=True)
    (REFERENCE / "resources.md").write_text(resources(), encoding="utf-8")
    (REFERENCE / "metrics.md").write_text(metric_table(), encoding="utf-8")


if __name__ == "__main__":
    main()
