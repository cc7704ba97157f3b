"""What may not change in the life of a Swarm: the CRD's own transition rules, for use without an API server."""

import re
from typing import Any, cast

from kubeswarm_api.base import Model

#: The rules that keep one field as it is. (What else looks at oldSelf is about volumes of a cluster.)
_KEPT = re.compile(r"self\.(\w+) == oldSelf\.\1")


def refusals(old: Model, new: Model) -> list[str]:
    """What admission would say of this change of a spec, as "field: message"; empty where it may be made."""
    before, after = old.to_json(), new.to_json()
    found: list[str] = []
    for base in type(new).__mro__:
        for rule in vars(base).get("cel_rules", ()):
            kept = _KEPT.fullmatch(rule["rule"])
            if kept and before.get(kept[1]) != after.get(kept[1]):
                found.append(f"spec.{kept[1]}: {rule['message']}")
    return found


def changed_fields(old: Model, new: Model, name: str = "spec") -> list[str]:
    """The fields that differ, by their path in `name`."""
    return _differences(old.to_json(), new.to_json(), name)


def _differences(old: Any, new: Any, path: str) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        old, new = cast(dict[str, Any], old), cast(dict[str, Any], new)
        names = [*old, *(name for name in new if name not in old)]
        return [each for name in names for each in _differences(old.get(name), new.get(name), f"{path}.{name}")]
    return [] if old == new else [path]
