"""A Swarm's file: read, changed by --set, and checked by the same types as the cluster checks it with."""

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from kubeswarm_api.base import API_VERSION
from kubeswarm_api.names import MAX_SWARM_NAME, NAME_PATTERN, NAME_PATTERN_MESSAGE
from kubeswarm_api.swarm import NAME_RULE, SwarmSpec
from kubeswarm_cli.errors import CommandError

#: Problems told at a time.
MAX_PROBLEMS = 8
FORM = f"a Swarm is `apiVersion: {API_VERSION}`, `kind: Swarm`, `metadata: {{name: ...}}` and `spec`"


@dataclass(frozen=True)
class SwarmFile:
    """A Swarm that was read: `manifest` is the file with all changes in it, `spec` its checked spec."""

    name: str
    manifest: dict[str, Any]
    spec: SwarmSpec


def read(path: Path, changes: Sequence[str] = ()) -> SwarmFile:
    """The Swarm of a YAML (or JSON) file, with `changes` such as spec.seed=1 made.

    Raises CommandError that names file, line and field of each problem.
    """
    try:
        text = path.read_text(encoding="utf-8")
        documents = [node for node in yaml.compose_all(text, yaml.SafeLoader) if node is not None]
        manifests = [each for each in yaml.safe_load_all(text) if each is not None]
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if len(manifests) != 1 or not isinstance(manifests[0], dict):
        raise CommandError(f"{path}: has {len(manifests)} objects instead of one Swarm: {FORM}")
    manifest = manifests[0]
    for change in changes:
        _set(manifest, change)
    problems = list(_problems(manifest))
    if problems:
        lines = [_where(path, documents[0], location) + text for location, text in problems[:MAX_PROBLEMS]]
        more = len(problems) - len(lines)
        raise CommandError("\n".join([*lines, *([f"and {more} more"] if more else [])]))
    return SwarmFile(manifest["metadata"]["name"], manifest, SwarmSpec.model_validate(manifest["spec"]))


def _set(manifest: dict[str, Any], change: str) -> None:
    """One change of the form path.to.field=YAML; a number in the path is a place in a list."""
    path, equals, value = change.partition("=")
    if not equals or not path:
        raise CommandError(f"--set {change}: write it as spec.field=value")
    try:
        new = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise CommandError(f"--set {change}: the value is not YAML") from error
    *parents, last = path.split(".")
    place: Any = manifest
    for part in parents:
        if isinstance(place, list):
            place = place[_index(place, part, change)]
        elif isinstance(place, dict):
            place = place.setdefault(part, {})
        if not isinstance(place, dict | list):
            raise CommandError(f"--set {change}: {part} is neither an object nor a list")
    if isinstance(place, list):
        place[_index(place, last, change)] = new
    elif new is None:  # as in a merge patch
        place.pop(last, None)
    else:
        place[last] = new


def _index(place: list[Any], part: str, change: str) -> int:
    if not part.isdecimal() or int(part) >= len(place):
        raise CommandError(f"--set {change}: {part} is not one of the list's places 0 to {len(place) - 1}")
    return int(part)


def _problems(manifest: dict[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """(location, what is wrong with it and what to do)."""
    if (manifest.get("apiVersion"), manifest.get("kind")) != (API_VERSION, "Swarm"):
        kind = f"{manifest.get('apiVersion')} {manifest.get('kind')}"
        yield ("kind",), f"{kind} can't be run here: {FORM}"
    name = (manifest.get("metadata") or {}).get("name")
    if not isinstance(name, str) or not re.match(NAME_PATTERN, name):
        yield ("metadata", "name"), NAME_PATTERN_MESSAGE
    elif len(name) > MAX_SWARM_NAME:
        yield ("metadata", "name"), NAME_RULE["message"]
    spec = manifest.get("spec")
    if not isinstance(spec, dict):
        yield ("spec",), "spec is missing: it says what to train, and on what"
        return
    try:
        SwarmSpec.model_validate(spec)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            location = ("spec", *problem["loc"])
            yield location, f"{'.'.join(map(str, location))}: {_told(problem['type'], problem['msg'], problem['loc'])}"


def _told(kind: str, message: str, location: tuple[str | int, ...]) -> str:
    if kind == "missing":
        return "is missing"
    if kind != "extra_forbidden":
        return message.removeprefix("Value error, ")
    close = difflib.get_close_matches(str(location[-1]), _fields(), 1)
    return "there is no such field" + (f": did you mean {close[0]}?" if close else "")


def _fields() -> set[str]:
    schema = SwarmSpec.model_json_schema()
    return {name for each in (schema, *schema["$defs"].values()) for name in each.get("properties", {})}


def _where(path: Path, document: yaml.Node, location: tuple[str | int, ...]) -> str:
    """file:line of the deepest part of a location that the file has."""
    node, line = document, document.start_mark.line
    for part in location:
        found = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    found, line = value, key.start_mark.line
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = node.value[part]
            line = found.start_mark.line
        if found is None:
            break
        node = found
    return f"{path}:{line + 1}: "
