"""Waits until the API server serves our resources, with every field that this version of the operator writes.

A definition that lacks one would drop it from what is written, or refuse the write. An operator that waits here is not
ready and takes no Lease: the one that an upgrade is to replace goes on.
"""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

from kubeswarm_api.base import GROUP, VERSION
from kubeswarm_api.conditions import Reason
from kubeswarm_api.crd import node_crd, swarm_crd
from kubeswarm_operator.decide.health import problem
from kubeswarm_operator.kube import ApiError, Kube
from kubeswarm_operator.resources import NODES, SWARMS

log = logging.getLogger(__name__)
AGAIN_SECONDS = 2.0
_NAMED = 6


class Definitions:
    """What stands in the way, for the endpoint; empty: nothing."""

    def __init__(self) -> None:
        self.problem = "the API server has not been asked for the resources yet"

    async def wait(self, kube: Kube) -> None:
        """Returns once all is served."""
        while True:
            try:
                found = await _found(kube)
            except ApiError as error:
                found = str(error)
            if not found:
                self.problem = ""
                return
            if found != self.problem:
                log.error("waiting for the API server to serve kubeswarm.dev", extra={"detail": found[:1000]})
            self.problem = found
            await asyncio.sleep(AGAIN_SECONDS)


async def _found(kube: Kube) -> str:
    if not {SWARMS.plural, NODES.plural} <= await kube.served(GROUP, VERSION):
        return "its CustomResourceDefinitions are not installed"
    try:
        document = await kube.schemas(GROUP, VERSION)
    except ApiError as error:
        if error.code != 403:
            raise
        log.warning("the definitions' fields were not compared", extra={"detail": str(error)[:300]})
        return ""
    return older(document)


def older(document: dict[str, Any]) -> str:
    """Which definitions lack which fields, by the API server's OpenAPI document of our group; empty: none does."""
    found: list[str] = []
    for definition in (swarm_crd(), node_crd()):
        kind, name = definition["spec"]["names"]["kind"], definition["metadata"]["name"]
        wanted = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        missing = list(_missing(wanted, _served(document, kind), ""))
        if missing:
            more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
            fields = f"{', '.join(missing[:_NAMED])}{more}"
            found.append(f"CustomResourceDefinition {name} is older than this operator: it lacks {fields}")
    return problem(Reason.DEFINITION_OUTDATED, "; ".join(found)).message if found else ""


def _served(document: dict[str, Any], kind: str) -> dict[str, Any]:
    for each in document.get("components", {}).get("schemas", {}).values():
        names = each.get("x-kubernetes-group-version-kind") or []
        if any((name["group"], name["version"], name["kind"]) == (GROUP, VERSION, kind) for name in names):
            return each
    return {}


def _missing(wanted: dict[str, Any], served: dict[str, Any], path: str) -> Iterator[str]:
    known = served.get("properties") or {}
    for name, inner in (wanted.get("properties") or {}).items():
        where = f"{path}.{name}" if path else name
        if name not in known:
            yield where
        else:
            yield from _missing(inner, known[name], where)
    for inside in ("items", "additionalProperties"):
        if isinstance(wanted.get(inside), dict):
            yield from _missing(wanted[inside], served.get(inside) or {}, f"{path}[]")
