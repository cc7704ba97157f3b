"""Sessions with the API server: authenticated, and every request counted."""

import time
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import kopf

from kubeswarm_api.errors import InvalidConfig
from kubeswarm_api.names import FIELD_MANAGER
from kubeswarm_operator import telemetry
from kubeswarm_operator.hearing import Listener, response

#: Seconds after which the service account's token is read again: kubelet renews the file.
TOKEN_SECONDS = 60.0
_TOKEN_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def labels_of(url: str) -> tuple[str, bool]:
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


def _counting(listener: Listener | None) -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()

    async def ended(_session: Any, _context: Any, params: aiohttp.TraceRequestEndParams) -> None:
        resource, verb = _asked(params)
        if verb in ("list", "watch"):
            telemetry.watch_seen(resource)
        telemetry.API_REQUESTS.labels(verb, resource, str(params.response.status)).inc()
        if listener is not None and verb == "watch":
            heard = listener.watching if params.response.status == HTTPStatus.OK else listener.lost
            heard(resource, params.url.path)

    async def failed(_session: Any, _context: Any, params: aiohttp.TraceRequestExceptionParams) -> None:
        resource, verb = _asked(params)
        telemetry.API_REQUESTS.labels(verb, resource, "none").inc()
        if listener is not None and verb in ("list", "watch"):
            listener.lost(resource, params.url.path)

    trace.on_request_end.append(ended)
    trace.on_request_exception.append(failed)
    return trace


def _asked(params: aiohttp.TraceRequestEndParams | aiohttp.TraceRequestExceptionParams) -> tuple[str, str]:
    """What a request was about, and the verb."""
    resource, single = labels_of(str(params.url))
    verb = _VERBS.get(params.method, params.method.lower())
    if verb == "get" and not single:
        verb = "watch" if params.url.query.get("watch") == "true" else "list"
    return resource, verb


def open_session(listener: Listener | None = None, pooled: bool = True) -> tuple[aiohttp.ClientSession, str]:
    """A counted, authenticated session, and the server that it is for.

    `pooled`: whether connections are kept for later requests.
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
        connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context(), force_close=not pooled),
        headers={"User-Agent": FIELD_MANAGER},
        middlewares=(_Token(info, in_cluster),),
        trace_configs=[_counting(listener)],
        response_class=response(listener) if listener else aiohttp.ClientResponse,
        read_bufsize=2**20,
    )
    return session, info.server
