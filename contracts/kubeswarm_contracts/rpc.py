"""The one place that talks to a chain's JSON-RPC endpoint, and that turns its failures into this package's errors.

web3 is imported by who has an endpoint: an operator without a chain is spared its memory, a command its time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

import requests
from eth_abi.exceptions import DecodingError

from kubeswarm_contracts.errors import ChainRejected, ChainUnreachable
from kubeswarm_contracts.reverts import rejection

if TYPE_CHECKING:
    from web3 import HTTPProvider
    from web3.types import RPCEndpoint

CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0
#: Calls in one batch: enough to hide the latency, few enough for public endpoints.
BATCH_CALLS = 100

T = TypeVar("T")
#: An endpoint without old states says so of the latest block when the next one comes before it has looked there.
_OVERTAKEN = "blockoutofrange"
_RETRIES = 2
_REVERTED = 3
_METHOD_NOT_FOUND = -32601


class RpcError(ChainRejected):
    """The endpoint answered a request with an error. `code` is JSON-RPC's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__("RpcError", message)
        self.code = code

    @property
    def overtaken(self) -> bool:
        """Whether the chain went on before the endpoint had looked at its latest block: asked again it answers."""
        return _OVERTAKEN in str(self).lower()


def endpoint_name(setting: str, url: str) -> str:
    """What of a URL may stand in messages: paths and user parts of public endpoints hold access tokens.

    Raises ValueError, naming the setting, if it is no http or https URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{setting} must be http(s)://host[:port][/path], got {url[:200]!r}")
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


class Rpc:
    """JSON-RPC over HTTP with short timeouts and no waiting between retries: whoever waits decides how long."""

    def __init__(self, url: str) -> None:
        self.name = endpoint_name("chain.url", url)
        self._url = url
        self._provider = self._connect()

    def request(self, method: str, *params: Any) -> Any:
        """The result of one request.

        Raises ChainUnreachable without a usable answer, ChainRejected for a revert, RpcError for another error.
        """

        def question(provider: HTTPProvider) -> Any:
            return provider.make_request(cast("RPCEndpoint", method), list(params))

        return _again(lambda: self._result(self._ask(question)))

    def parsed(self, parse: Callable[[Any], T], method: str, *params: Any) -> T:
        """`parse` of the result of one request. Raises as `request`; ChainUnreachable too for what it can't parse."""
        result = self.request(method, *params)
        try:
            return parse(result)
        except (LookupError, TypeError, ValueError, AttributeError, DecodingError) as error:
            said = str(result)[:100]
            raise ChainUnreachable(f"{self.name} answered {method} with something else: {said}") from error

    def quantity(self, method: str, *params: Any) -> int:
        """The number that one request results in. Raises as `parsed`."""
        return self.parsed(lambda result: int(result, 16), method, *params)

    def batch(self, calls: list[tuple[str, list[Any]]]) -> list[Any]:
        """The results of many requests, in order, BATCH_CALLS at a time. Raises as `request` for the first failure."""
        results: list[Any] = []
        for start in range(0, len(calls), BATCH_CALLS):
            chunk = [(cast("RPCEndpoint", method), params) for method, params in calls[start : start + BATCH_CALLS]]
            results += _again(partial(self._chunk, chunk))
        return results

    def _chunk(self, chunk: list[tuple[RPCEndpoint, Any]]) -> list[Any]:
        responses = self._ask(lambda provider: provider.make_batch_request(chunk))
        if not isinstance(responses, list) or len(responses) != len(chunk):
            raise ChainUnreachable(f"the chain at {self.name} did not answer a batch of {len(chunk)} requests")
        return [self._result(response) for response in responses]

    def _connect(self) -> HTTPProvider:
        from web3 import HTTPProvider

        return HTTPProvider(
            self._url, request_kwargs={"timeout": (CONNECT_SECONDS, READ_SECONDS)}, exception_retry_configuration=None
        )

    def _ask(self, question: Callable[[HTTPProvider], T]) -> T:
        """What the endpoint answers. Raises ChainUnreachable; the next question then gets a connection of its own."""
        try:
            return question(self._provider)
        except (requests.RequestException, ValueError) as error:
            self._provider = self._connect()  # the one that was kept may lead to what is no chain any more
            cause = type(error).__name__
            if isinstance(error, requests.HTTPError) and error.response is not None:
                cause = f"HTTP status {error.response.status_code}"
            raise ChainUnreachable(
                f"no answer from the chain at {self.name} ({cause}): check chain.url and that it runs"
            ) from error

    def _result(self, response: Any) -> Any:
        if not isinstance(response, dict) or not ("result" in response or "error" in response):
            raise ChainUnreachable(f"what answers at {self.name} does not speak JSON-RPC")
        failure = response.get("error")
        if failure is None:
            return response["result"]
        code, message, data = _parts(failure)
        if data or code == _REVERTED:
            raise rejection(data, message)
        if code == _METHOD_NOT_FOUND:
            raise RpcError(code, f"the chain at {self.name} lacks a method: {message}")
        raise RpcError(code, message)


def _again(ask: Callable[[], T]) -> T:
    """What is answered, asked again where the chain has overtaken the endpoint. Raises as `ask`."""
    for _ in range(_RETRIES):
        try:
            return ask()
        except RpcError as error:
            if not error.overtaken:
                raise
    return ask()


def _parts(failure: Any) -> tuple[int, str, bytes]:
    if not isinstance(failure, dict):
        return 0, str(failure)[:500], b""
    data = failure.get("data")
    hexed = data if isinstance(data, str) and data.startswith("0x") else "0x"
    try:
        decoded = bytes.fromhex(hexed[2:])
    except ValueError:
        decoded = b""
    code = failure.get("code")
    return code if isinstance(code, int) else 0, str(failure.get("message", ""))[:500], decoded
