"""Which of a Node's objects must be written, and which must go."""

from collections.abc import Iterable, Mapping
from typing import Any

from kubeswarm_api.encoding import canonical_json, digest
from kubeswarm_operator.build.merge import MERGE_KEYS
from kubeswarm_operator.decide.quantities import same_quantity
from kubeswarm_operator.resources import Object

#: Digest of the manifest as it was applied last: shows a field that the manifest no longer has.
APPLIED_ANNOTATION = "kubeswarm.dev/applied"
#: Digest of a workload's pod template as it was applied last: shows what replaces pods.
TEMPLATE_ANNOTATION = "kubeswarm.dev/template"


def stamped(manifest: Object, template_mark: str | None = None) -> Object:
    """The manifest with its own digest on it; stamping twice is stamping once.

    A Secret's content is no part of the digest: it is made once. `template_mark`: the template's digest as it was
    applied, for one that the API server has filled with defaults.
    """
    meta = manifest["metadata"]
    annotations = {key: value for key, value in meta.get("annotations", {}).items() if key != APPLIED_ANNOTATION}
    template = (manifest.get("spec") or {}).get("template")
    if template is not None and "replicas" in manifest["spec"]:
        annotations[TEMPLATE_ANNOTATION] = template_mark or digest(canonical_json(template)).hex()[:32]
    left_out = ("data", "type", "metadata") if _is_secret(manifest) else ("metadata",)
    content = {key: value for key, value in manifest.items() if key not in left_out}
    content["metadata"] = {**meta, "annotations": annotations}
    value = digest(canonical_json(content)).hex()[:32]
    return {**manifest, "metadata": {**meta, "annotations": {**annotations, APPLIED_ANNOTATION: value}}}


def _is_secret(manifest: Object) -> bool:
    return manifest["kind"] == "Secret"


def differs(live: Object | None, manifest: Object) -> bool:
    """Whether a stamped manifest must be applied: what we own in the live object isn't what we want.

    What others have added (defaults, other managers' fields) doesn't count.
    """
    return live is None or not _within(manifest, live, "")


def obsolete(live: Mapping[tuple[str, str], Object], wanted: Iterable[Object], owner_uid: str) -> list[Object]:
    """Objects that the owner controls, that it no longer wants and that aren't going already."""
    keep = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in wanted}
    return [
        body
        for key, body in live.items()
        if key not in keep
        and "deletionTimestamp" not in body["metadata"]
        and any(
            ref["uid"] == owner_uid and ref.get("controller") for ref in body["metadata"].get("ownerReferences") or []
        )
    ]


def controller(body: Object) -> Object | None:
    """The reference to who controls an object."""
    references = body["metadata"].get("ownerReferences") or []
    return next((reference for reference in references if reference.get("controller")), None)


def controls(owner_uid: str, body: Object) -> bool:
    """Whether the owner with that uid controls an object."""
    found = controller(body)
    return found is not None and found["uid"] == owner_uid


def _within(wanted: Any, live: Any, field: str) -> bool:
    """Whether all of `wanted` is in `live`. Empty maps and lists, which the server may drop, equal absent ones."""
    if isinstance(wanted, dict):
        if live is None:
            live = {}
        return isinstance(live, dict) and all(_within(value, live.get(key), key) for key, value in wanted.items())
    if isinstance(wanted, list):
        return _list_within(wanted, live or [], field)
    return wanted == live or (isinstance(wanted, (str, int, float)) and same_quantity(wanted, live))


def _list_within(wanted: list[Any], live: Any, field: str) -> bool:
    keys = MERGE_KEYS.get(field)
    if keys and all(isinstance(item, dict) for item in wanted):
        # lists that others may add items to: each of ours must be there
        return all(
            any(_within(item, one, "") for one in live if one.get(keys[0]) == item.get(keys[0])) for item in wanted
        )
    if field == "ownerReferences" and wanted:  # others may add theirs; where none is wanted there must be none
        return all(any(_within(item, one, "") for one in live) for item in wanted)
    return len(wanted) == len(live) and all(_within(a, b, "") for a, b in zip(wanted, live, strict=True))
