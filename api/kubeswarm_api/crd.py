"""CustomResourceDefinitions from the models: structural OpenAPI schemas with defaults, documentation and CEL."""

from typing import Any

from pydantic import BaseModel

from kubeswarm_api import node, swarm
from kubeswarm_api.base import GROUP, PATTERN_MESSAGE, VERSION, Model, OneOf, cel
from kubeswarm_api.conditions import PENDING
from kubeswarm_api.names import NAME_PATTERN, NAME_PATTERN_MESSAGE

_KEPT = (
    "type", "description", "default", "enum", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
)  # fmt: skip


#: Services, which are named after Nodes, are stricter than the API server is with custom resources.
_LABEL_RULE = cel(
    f"self.metadata.name.matches(r'{NAME_PATTERN}')",
    NAME_PATTERN_MESSAGE,
)


def schema(model: type[BaseModel]) -> dict[str, Any]:
    """The structural schema of `model`: no references, no unions, CEL rules where the types declare them."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    types = {cls.__name__: cls for cls in _models(model)}
    return _structural(raw, raw.get("$defs", {}), types)


def _models(model: type[BaseModel]) -> set[type[BaseModel]]:
    found: set[type[BaseModel]] = {model}
    waiting: list[Any] = [field.annotation for field in model.model_fields.values()]
    while waiting:
        annotation = waiting.pop()
        waiting += list(getattr(annotation, "__args__", ()))
        if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in found:
            found.add(annotation)
            waiting += [field.annotation for field in annotation.model_fields.values()]
    return found


def _structural(raw: dict[str, Any], defs: dict[str, Any], types: dict[str, type[BaseModel]]) -> dict[str, Any]:
    if "$ref" in raw:
        name = raw["$ref"].rsplit("/", 1)[-1]
        raw = {**defs[name], **{key: value for key, value in raw.items() if key != "$ref"}}
    if "anyOf" in raw:  # Optional: null is said by leaving the field out
        (inner,) = [option for option in raw["anyOf"] if option.get("type") != "null"]
        return _structural({**inner, **{k: v for k, v in raw.items() if k not in ("anyOf", "default")}}, defs, types)
    out: dict[str, Any] = {key: raw[key] for key in _KEPT if key in raw}
    for bound, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if bound in out:  # apiextensions/v1 has booleans here
            out[limit], out[bound] = out[bound], True
    if PATTERN_MESSAGE in raw:  # a pattern's own message is the pattern: CEL has words for it
        rule = f"self.matches(r'{out.pop('pattern')}')"
        out["x-kubernetes-validations"] = [cel(rule, raw[PATTERN_MESSAGE])]
    if "const" in raw:
        out["enum"] = [raw["const"]]
    if out.get("type") == "integer":
        out["format"] = "int64"
        out["maximum"] = min(out.get("maximum", 2**53), 2**53)
    if "items" in raw:
        out["items"] = _structural(raw["items"], defs, types)
    if raw.get("type") == "object":
        _fill_object(out, raw, defs, types)
    return out


def _fill_object(
    out: dict[str, Any], raw: dict[str, Any], defs: dict[str, Any], types: dict[str, type[BaseModel]]
) -> None:
    if "properties" in raw:
        out["properties"] = {name: _structural(field, defs, types) for name, field in raw["properties"].items()}
        if raw.get("required"):
            out["required"] = raw["required"]
        cls = types.get(raw.get("title", ""))
        for field in cls.model_fields.values() if cls else ():
            factory = field.default_factory
            if isinstance(factory, type) and issubclass(factory, Model):
                # spelled out: the API server checks CEL rules on it before it fills in the fields' own defaults
                out["properties"][str(field.alias)]["default"] = factory().to_json()
            elif factory is dict:
                out["properties"][str(field.alias)]["default"] = {}
        rules = [*_inherited_rules(cls)] if cls else []
        if rules:
            out["x-kubernetes-validations"] = rules
    elif isinstance(raw.get("additionalProperties"), dict) and "type" in raw["additionalProperties"]:
        out["additionalProperties"] = _structural(raw["additionalProperties"], defs, types)
    else:
        out["x-kubernetes-preserve-unknown-fields"] = True


def _inherited_rules(cls: type[BaseModel]) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = []
    for base in reversed(cls.__mro__):
        if issubclass(base, Model):
            rules += [rule for rule in vars(base).get("cel_rules", ()) if rule not in rules]
    if issubclass(cls, OneOf):
        rules.append(cls.exactly_one_rule())
    return rules


def _column(name: str, kind: str, path: str, description: str, priority: int = 0) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path, "description": description}
    return {**column, "priority": priority} if priority else column


def _ready(condition: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{condition}")].{field}'


def _definition(
    kind: str, plural: str, short: str, spec: type[Model], status: type[Model], name_rule: dict[str, Any],
    columns: list[dict[str, Any]], scale: dict[str, str], about: str,
) -> dict[str, Any]:  # fmt: skip
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": plural.removesuffix("s"),
                "shortNames": [short],
                "categories": ["kubeswarm"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": [
                        *columns,
                        _column("Age", "date", ".metadata.creationTimestamp", "Time since creation"),
                    ],
                    "subresources": {"status": {}, "scale": scale},
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": about,
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object"},
                                "spec": schema(spec),
                                "status": {**schema(status), "default": {"conditions": [PENDING.to_json()]}},
                            },
                            "x-kubernetes-validations": [_LABEL_RULE, name_rule],
                        }
                    },
                }
            ],
        },
    }


def swarm_crd() -> dict[str, Any]:
    """The CustomResourceDefinition of Swarm."""
    return _definition(
        "Swarm", "swarms", "sw", swarm.SwarmSpec, swarm.SwarmStatus, swarm.NAME_RULE,
        [
            _column("Nodes", "integer", ".status.nodes", "Nodes that exist"),
            _column("Ready", "string", _ready("Ready", "status"), "Whether all Nodes are ready or complete"),
            _column("Reason", "string", _ready("Ready", "reason"), "Why"),
            _column("Round", "integer", ".status.round", "Last finished round of the Node furthest behind"),
            _column("Rounds", "integer", ".spec.rounds", "Rounds wanted"),
            _column("Reward", "string", ".status.reward", "Mean reward of the last rounds"),
            _column("Held-out", "string", ".status.heldOutReward", "Mean held-out reward"),
            _column("Attested", "integer", ".status.attestedRounds", "Rounds on the chain"),
            _column("Id", "string", ".status.swarmId", "Id on the chain", 1),
        ],
        {
            "specReplicasPath": ".spec.nodes",
            "statusReplicasPath": ".status.nodes",
            "labelSelectorPath": ".status.selector",
        },
        swarm.SwarmSpec.__doc__ or "",
    )  # fmt: skip


def node_crd() -> dict[str, Any]:
    """The CustomResourceDefinition of Node."""
    return _definition(
        "Node", "swarmnodes", "sn", node.NodeSpec, node.NodeStatus, node.NAME_RULE,
        [
            _column("Swarm", "string", ".spec.swarm.name", "The Swarm it takes part in"),
            _column("Ready", "string", _ready("Ready", "status"), "Whether all its pods are ready"),
            _column("Reason", "string", _ready("Ready", "reason"), "Why"),
            _column("Round", "integer", ".status.round", "Last finished round"),
            _column("Reward", "string", ".status.reward", "Mean reward of the last round"),
            _column("Held-out", "string", ".status.heldOut.latest", "Held-out reward"),
            _column("Attested", "integer", ".status.attestedRounds", "Rounds on the chain"),
            _column("Taken", "integer", ".status.groupsTaken", "Groups taken from other Nodes", 1),
            _column("Id", "string", ".status.nodeId", "Identity on the chain", 1),
        ],
        {
            "specReplicasPath": ".spec.rollout.workers",
            "statusReplicasPath": ".status.rolloutReplicas",
            "labelSelectorPath": ".status.selector",
        },
        node.NodeSpec.__doc__ or "",
    )  # fmt: skip
