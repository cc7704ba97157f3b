"""The only caller of the Kubernetes API (kopf's watches use the same session). Every request is counted.

Objects are plain JSON data. Writes are refused here unless this replica holds the Lease.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from kubeswarm_api.errors import KubeSwarmError
from kubeswarm_api.names import FIELD_MANAGER
from kubeswarm_operator.resources import LEASES, Object, Resource, resource_of
from kubeswarm_operator.session import open_session

#: Seconds that one request may take; a write is also cut off when the Lease ends.
REQUEST_SECONDS = 10.0


class ApiError(KubeSwarmError):
    """The API server's refusal. `code` is the HTTP status, `reason` its one word."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class NotFound(ApiError):
    """The object does not exist."""


class Conflict(ApiError):
    """The object exists already, or was changed meanwhile."""


class Unavailable(ApiError):
    """No answer worth having: connection, timeout, overload, server error. Try again later."""


class NotLeader(KubeSwarmError):
    """A write without the Lease; nothing was sent."""


def _error(code: int, text: str) -> ApiError:
    try:
        status = orjson.loads(text)
        reason, message = str(status.get("reason", code)), str(status.get("message", text[:500]))
    except (ValueError, AttributeError):
        reason, message = str(code), text[:500]
    if code == 404:
        return NotFound(code, reason, message)
    if code == 409:
        return Conflict(code, reason, message)
    if code == 429 or code >= 500:
        return Unavailable(code, reason, message)
    return ApiError(code, reason, message)


class Kube:
    """Requests to one API server. `write_seconds` says for how long this replica may still write.

    `fresh`: a session whose requests have a connection each, for the Lease: in a pool all may have fallen silent.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        fresh: aiohttp.ClientSession,
        server: str,
        write_seconds: Callable[[], float],
    ) -> None:
        self._session, self._fresh = session, fresh
        self.server = server.rstrip("/")
        self._write_seconds = write_seconds

    async def _send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        params: Mapping[str, str] | None = None,
        seconds: float = REQUEST_SECONDS,
        fresh: bool = False,
    ) -> Object:
        data = None if body is None else orjson.dumps(body)
        headers = {"Accept": "application/json"} | ({"Content-Type": content_type} if data is not None else {})
        try:
            async with (self._fresh if fresh else self._session).request(
                method,
                self.server + path,
                data=data,
                params=params,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as response:
                if response.status >= 400:
                    raise _error(response.status, (await response.read())[:65536].decode(errors="replace"))
                return orjson.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError, orjson.JSONDecodeError) as error:
            detail = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise Unavailable(0, "NoAnswer", f"the API server gave no answer to {method} {path}: {detail}") from error

    async def _write(self, method: str, path: str, body: Any = None, **more: Any) -> Object:
        seconds = self._write_seconds()
        if seconds <= 0:
            raise NotLeader(f"{method} {path} was not sent: this replica does not hold the Lease")
        return await self._send(method, path, body, seconds=min(seconds, REQUEST_SECONDS), **more)

    # --- reads ----------------------------------------------------------------------------------------------
    async def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """The object, or None if it does not exist."""
        try:
            return await self._send("GET", resource.path(namespace, name))
        except NotFound:
            return None

    async def list_all(self, resource: Resource, namespace: str | None = None, **params: str) -> list[Object]:
        """All objects (in one namespace, or in all), by `labelSelector` or `fieldSelector` if given."""
        return (await self._send("GET", resource.path(namespace), params=params, seconds=60.0))["items"]

    async def served(self, group: str, version: str) -> set[str]:
        """The plurals that the API server serves in a group's version; empty if it does not know it."""
        try:
            found = await self._send("GET", f"/apis/{group}/{version}")
        except NotFound:
            return set()
        return {item["name"] for item in found["resources"]}

    async def schemas(self, group: str, version: str) -> Object:
        """The OpenAPI document of a group's version, with the schemas of its kinds."""
        return await self._send("GET", f"/openapi/v3/apis/{group}/{version}")

    # --- writes under the Lease -----------------------------------------------------------------------------
    async def apply(self, manifest: Object) -> Object:
        """Server-side apply: makes the object, or sets the fields that the manifest names. Returns the live one."""
        meta = manifest["metadata"]
        path = resource_of(manifest).path(meta["namespace"], meta["name"])
        params = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._write("PATCH", path, manifest, content_type="application/apply-patch+yaml", params=params)

    async def create(self, manifest: Object) -> Object:
        """Makes the object; raises Conflict if it exists."""
        path = resource_of(manifest).path(manifest["metadata"]["namespace"])
        return await self._write("POST", path, manifest, params={"fieldManager": FIELD_MANAGER})

    async def merge(
        self, resource: Resource, namespace: str, name: str, patch: Object, subresource: str | None = None
    ) -> Object:
        """A JSON merge patch of the object or of its subresource."""
        path = resource.path(namespace, name, subresource)
        params = {"fieldManager": FIELD_MANAGER}
        return await self._write("PATCH", path, patch, content_type="application/merge-patch+json", params=params)

    async def edit(self, resource: Resource, namespace: str, name: str, patch: list[Object]) -> Object:
        """A JSON patch of the object."""
        path = resource.path(namespace, name)
        return await self._write("PATCH", path, patch, content_type="application/json-patch+json")

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> Object | None:
        """Deletes exactly the object with that uid. Returns it if it goes later, None if it is gone."""
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            answer = await self._write("DELETE", resource.path(namespace, name), body)
        except NotFound:
            return None
        return answer if answer.get("kind") == resource.kind else None

    # --- the Lease itself, the one thing that is written without holding it --------------------------------
    async def get_lease(self, namespace: str, name: str, seconds: float) -> Object | None:
        """The Lease, or None if it does not exist."""
        try:
            return await self._send("GET", LEASES.path(namespace, name), seconds=seconds, fresh=True)
        except NotFound:
            return None

    async def create_lease(self, manifest: Object, seconds: float) -> Object:
        """Makes the Lease; raises Conflict if another replica was first."""
        path = resource_of(manifest).path(manifest["metadata"]["namespace"])
        return await self._send("POST", path, manifest, seconds=seconds, fresh=True)

    async def update_lease(self, manifest: Object, seconds: float) -> Object:
        """Replaces the Lease at its resourceVersion; raises Conflict if another replica wrote it meanwhile."""
        meta = manifest["metadata"]
        path = resource_of(manifest).path(meta["namespace"], meta["name"])
        return await self._send("PUT", path, manifest, seconds=seconds, fresh=True)


@asynccontextmanager
async def connect(write_seconds: Callable[[], float]) -> AsyncIterator[Kube]:
    """A connection by the pod's service account, or by the kubeconfig of the environment."""
    session, server = open_session()
    fresh, _ = open_session(pooled=False)
    async with session, fresh:
        yield Kube(session, fresh, server, write_seconds)
