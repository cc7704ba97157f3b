"""Reads of the API server over one connection: tests ask often, and each kubectl starts with a discovery."""

import json
import ssl
import time
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_TRIES = 10  # as kubectl


@dataclass(frozen=True)
class _Kind:
    root: str  # such as /apis/apps/v1
    plural: str
    namespaced: bool

    def path(self, namespace: str) -> str:
        return f"{self.root}/namespaces/{namespace}/{self.plural}" if self.namespaced else f"{self.root}/{self.plural}"


class Reader:
    """Objects by any name that kubectl knows a kind by: plural (.group, .version.group), singular, short, kind."""

    def __init__(self, pki: Path, port: int) -> None:
        context = ssl.create_default_context(cafile=pki / "ca.crt")
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        self._connection = HTTPSConnection("127.0.0.1", port, timeout=120, context=context)
        self._kinds: dict[str, _Kind] = {}

    def get(self, namespace: str, kind: str, name: str) -> dict[str, Any] | None:
        """One object, or None."""
        return self._read(f"{self._kind(kind).path(namespace)}/{name}")

    def items(self, namespace: str, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind, each with its kind and API version, which a list says only once."""
        found = self._read(self._kind(kind).path(namespace))
        assert found is not None, f"there are no {kind}"
        common = {"apiVersion": found["apiVersion"], "kind": found["kind"].removesuffix("List")}
        return [{**common, **item} for item in found["items"]]

    def _kind(self, name: str) -> _Kind:
        if name.lower() not in self._kinds:
            self._discover()
        return self._kinds[name.lower()]

    def _discover(self) -> None:
        """As with kubectl, the core group goes before others, and a group's preferred version before its others."""
        for root in ("/api", "/apis"):
            for group in (self._read(root, _DISCOVERY) or {})["items"]:
                for version in group["versions"]:
                    self._know(
                        root, group["metadata"].get("name", ""), version["version"], version.get("resources", [])
                    )

    def _know(self, root: str, group: str, version: str, resources: list[dict[str, Any]]) -> None:
        for resource in resources:
            plural = resource["resource"]
            path = "/".join(part for part in (root, group, version) if part)
            kind = _Kind(path, plural, resource["scope"] == "Namespaced")
            own = (resource.get("responseKind") or {}).get("kind", plural).lower()
            short = (plural, resource["singularResource"], own, *resource.get("shortNames", []))
            whole = (f"{plural}.{group}", f"{plural}.{version}.{group}")
            for name in (*short, *whole):
                self._kinds.setdefault(name, kind)

    def _read(self, path: str, accept: str = "application/json") -> dict[str, Any] | None:
        for _ in range(_TRIES):
            try:
                status, again, body = self._ask(path, accept)
            except ConnectionError:  # the server ends connections that are idle
                self._connection.close()
                continue
            if again is None:
                break
            time.sleep(float(again))
        else:
            raise AssertionError(f"GET {path}: no answer in {_TRIES} tries")
        if status == 404:
            return None
        assert status == 200, f"GET {path}: {status} {body.decode(errors='replace')}"
        return json.loads(body)

    def _ask(self, path: str, accept: str) -> tuple[int, str | None, bytes]:
        """Status, the seconds after which to ask again (if the server wants that), body."""
        self._connection.request("GET", path, headers={"Accept": accept})
        answer = self._connection.getresponse()
        return answer.status, answer.headers["Retry-After"], answer.read()
