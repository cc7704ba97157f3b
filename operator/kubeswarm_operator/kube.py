"""The only caller of the Kubernetes API (kopf's watches use the same session). Every request is counted.

Objects are plain JSON data. Writes are refused here unless this replica holds the Lease.
"""

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import kopf

from kubeswarm_api.errors import InvalidConfig, KubeSwarmError
from kubeswarm_api.names import FIELD_MANAGER
from kubeswarm_operator import telemetry
from kubeswarm_operator.resources import Object, Resource, resource_of

#: Seconds that one request may take; a write is also cut off when the Lease ends.
REQUEST_SECONDS = 10.0
#: Seconds after which the service account's token is read again: kubelet renews the file.
TOKEN_SECONDS = 60.0
_TOKEN_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


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
        status = json.loads(text)
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


def _labels_of(url: str) -> tuple[str, bool]:
    """The resource (with its subresource) that a request is about, and whether it is on one object."""
    parts = urlsplit(url).path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    if len(parts) >= 3 and parts[0] == "namespaces":
        parts = parts[2:]
    if not parts:
        return "discovery", False
    return "/".join([parts[0], *parts[2:]]), len(parts) > 1


class _Token:
    """The bearer token, read again from the file that the kubelet renews."""

    def __init__(self, info: kopf.ConnectionInfo, in_cluster: bool) -> None:
        self._headers = info.as_http_headers()
        self._in_cluster = in_cluster
        self._read = time.monotonic()

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if self._in_cluster and time.monotonic() - self._read > TOKEN_SECONDS:
            self._headers = {"Authorization": f"Bearer {_TOKEN_FILE.read_text(encoding='ascii').strip()}"}  # noqa: ASYNC240 - a file in memory
            self._read = time.monotonic()
        request.headers.update(self._headers)
        return await handler(request)


def _counting(relisted: Callable[[str], None] | None) -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()
    listed: set[str] = set()

    async def ended(_session: Any, _context: Any, params: aiohttp.TraceRequestEndParams) -> None:
        resource, single = _labels_of(str(params.url))
        verb = _VERBS.get(params.method, params.method.lower())
        if verb == "get" and not single:
            verb = "watch" if params.url.query.get("watch") == "true" else "list"
            telemetry.watch_seen(resource)
        telemetry.API_REQUESTS.labels(verb, resource, str(params.response.status)).inc()
        if verb == "list" and relisted is not None and "continue" not in params.url.query:
            if params.url.path in listed:
                relisted(resource)
            listed.add(params.url.path)

    async def failed(_session: Any, _context: Any, params: aiohttp.TraceRequestExceptionParams) -> None:
        resource, _ = _labels_of(str(params.url))
        telemetry.API_REQUESTS.labels(_VERBS.get(params.method, params.method.lower()), resource, "none").inc()

    trace.on_request_end.append(ended)
    trace.on_request_exception.append(failed)
    return trace


class Kube:
    """Requests to one API server. `write_seconds` says for how long this replica may still write."""

    def __init__(self, session: aiohttp.ClientSession, server: str, write_seconds: Callable[[], float]) -> None:
        self._session = session
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
    ) -> Object:
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = {"Accept": "application/json"} | ({"Content-Type": content_type} if data is not None else {})
        try:
            async with self._session.request(
                method,
                self.server + path,
                data=data,
                params=params,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as response:
                if response.status >= 400:
                    raise _error(response.status, (await response.read())[:65536].decode(errors="replace"))
                return await response.json()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
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
    async def create_lease(self, manifest: Object, seconds: float) -> Object:
        """Makes the Lease; raises Conflict if another replica was first."""
        path = resource_of(manifest).path(manifest["metadata"]["namespace"])
        return await self._send("POST", path, manifest, seconds=seconds)

    async def update_lease(self, manifest: Object, seconds: float) -> Object:
        """Replaces the Lease at its resourceVersion; raises Conflict if another replica wrote it meanwhile."""
        meta = manifest["metadata"]
        path = resource_of(manifest).path(meta["namespace"], meta["name"])
        return await self._send("PUT", path, manifest, seconds=seconds)


@asynccontextmanager
async def connect(write_seconds: Callable[[], float]) -> AsyncIterator[Kube]:
    """A connection by the pod's service account, or by the kubeconfig of the environment."""
    session, server = open_session()
    async with session:
        yield Kube(session, server, write_seconds)


def open_session(relisted: Callable[[str], None] | None = None) -> tuple[aiohttp.ClientSession, str]:
    """A counted, authenticated session, and the server that it is for.

    `relisted` is told of a resource when it is listed from the start for a second time: a watch was broken.
    """
    settings = kopf.OperatorSettings()
    info = kopf.login_with_service_account(settings=settings)
    in_cluster = info is not None
    info = info or kopf.login_with_kubeconfig(settings=settings)
    if info is None:
        raise InvalidConfig(
            "no credentials for the Kubernetes API: run in a pod with a service account, or set KUBECONFIG"
        )
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
        headers={"User-Agent": FIELD_MANAGER},
        middlewares=(_Token(info, in_cluster),),
        trace_configs=[_counting(relisted)],
        read_bufsize=2**20,
    )
    return session, info.server
