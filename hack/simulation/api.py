"""A client of the API server: as administrator, over few connections."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

from hack.cluster.layout import Layout
from hack.console import Problem

Object = dict[str, Any]
#: Requests at a time.
PARALLEL = 16
#: Before a request or a watch that was refused is begun again.
RETRY_SECONDS = 0.2
#: For so long a server may refuse a request because it has no room.
NO_ROOM_SECONDS = 20.0
TOO_MANY_REQUESTS = 429


class WatchRefused(Problem):
    """The server gives no events from this resourceVersion on: it has only begun, or remembers nothing as old."""


class Api:
    """Requests to one API server."""

    def __init__(self, session: aiohttp.ClientSession, server: str) -> None:
        self._session, self._server = session, server
        self._gate = asyncio.Semaphore(PARALLEL)

    async def send(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Object:
        """One request's answer. Raises Problem with the server's words.

        A server that is overloaded, or has only begun to store a kind of object, refuses without having done anything,
        and is asked again.
        """
        end = time.monotonic() + NO_ROOM_SECONDS
        while True:
            status, text = await self._send(method, path, body, kind)
            if status != TOO_MANY_REQUESTS or time.monotonic() > end:
                break
            await asyncio.sleep(RETRY_SECONDS)
        if status >= 400 and not (method == "DELETE" and status == 404):
            raise Problem(f"{method} {path}: {status} {text[:500]}")
        return json.loads(text)

    async def _send(self, method: str, path: str, body: Any, kind: str) -> tuple[int, str]:
        data = None if body is None else json.dumps(body)
        async with (
            self._gate,
            self._session.request(method, self._server + path, data=data, headers={"Content-Type": kind}) as response,
        ):
            return response.status, await response.text()

    async def create(self, path: str, objects: Iterable[Object]) -> None:
        """Makes objects in the collections of their namespaces; `path` has {} for the namespace."""
        await asyncio.gather(
            *(self.send("POST", path.format(each["metadata"].get("namespace")), each) for each in objects)
        )

    async def items(self, path: str) -> list[Object]:
        """All objects of a collection."""
        return (await self.send("GET", path))["items"]

    async def follow(
        self,
        path: str,
        seen: Callable[[Object, float], bool],
        seconds: float,
        act: Callable[[], Awaitable[Any]] | None = None,
    ) -> None:
        """Watches a collection from now on until `seen` (event, monotonic time) says True. Raises Problem.

        What `act` causes is seen. Where the server ends the watch, as for a slow reader, or refuses to go on, what has
        become of the objects meanwhile is seen in one event each.
        """
        found = await self.send("GET", path)
        if act is not None:
            await act()
        known = _by_uid(found)
        try:
            async with asyncio.timeout(seconds):
                while True:
                    version = found["metadata"]["resourceVersion"]
                    with suppress(WatchRefused):
                        async for event in self.events(path, version, seconds):
                            uid = event["object"]["metadata"]["uid"]
                            known[uid] = event["object"]
                            if event["type"] == "DELETED":  # that was told, and is not missed
                                del known[uid]
                            if seen(event, time.monotonic()):
                                return
                    await asyncio.sleep(RETRY_SECONDS)
                    found = await self.send("GET", path)
                    events, known = missed(known, found), _by_uid(found)
                    for event in events:
                        if seen(event, time.monotonic()):
                            return
        except TimeoutError as error:
            raise Problem(f"waited {seconds:.0f} s for {path} in vain") from error

    async def version(self, path: str) -> str:
        """The resourceVersion of a collection as it is now."""
        return (await self.send("GET", f"{path}?limit=1"))["metadata"]["resourceVersion"]

    async def events(self, path: str, version: str, seconds: float = 3600) -> AsyncIterator[Object]:
        """A watch of a collection from a resourceVersion on. Raises WatchRefused."""
        query = f"?watch=true&resourceVersion={version}&timeoutSeconds={int(seconds)}"
        async with self._session.get(self._server + path + query) as response:
            if response.status >= 400:
                raise WatchRefused(f"{path} from {version}: {(await response.text())[:500]}")
            async for line in response.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise WatchRefused(f"{path} from {version}: {event['object'].get('message')}")
                yield event


def _by_uid(found: Object) -> dict[str, Object]:
    """The objects of a list."""
    return {each["metadata"]["uid"]: each for each in found["items"]}


def missed(known: dict[str, Object], found: Object) -> list[Object]:
    """What has become of objects between what was known of them, by uid, and a list: an event each, as a watch's."""
    there = _by_uid(found)
    gone = [{"type": "DELETED", "object": each} for uid, each in known.items() if uid not in there]
    return [*gone, *({"type": "MODIFIED", "object": each} for each in there.values())]


@asynccontextmanager
async def connect(layout: Layout) -> AsyncIterator[Api]:
    """As the cluster's administrator."""
    context = ssl.create_default_context(cafile=str(layout.pki / "ca.crt"))
    context.load_cert_chain(layout.pki / "admin.crt", layout.pki / "admin.key")
    connector = aiohttp.TCPConnector(ssl=context, limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=2**22) as session:
        yield Api(session, layout.server)
