"""Stands between an operator and the API server, and does what networks and overloaded servers do."""

import asyncio
import json
import ssl
import time
from collections import Counter, deque
from collections.abc import Mapping
from enum import StrEnum

import aiohttp
from aiohttp import web

from hack.cluster.layout import Layout

_HOP_BY_HOP = ("host", "connection", "transfer-encoding", "content-length", "content-encoding", "keep-alive")
#: What may meet a conflict: a creation does only where the object exists.
_CHANGES = ("PATCH", "PUT")
#: Longer than any client waits.
FOREVER = 60.0


class Fault(StrEnum):
    """What may become of one request."""

    OVERLOAD = "429"
    CONFLICT = "409"  # of a change
    ERROR = "500"
    NO_ANSWER = "it is not passed on, and there is no answer"
    LOST_ANSWER = "it is done, and its answer is lost"


_STATUS = {
    Fault.OVERLOAD: (429, "TooManyRequests"),
    Fault.CONFLICT: (409, "Conflict"),
    Fault.ERROR: (500, "InternalError"),
}


class Proxy:
    """Passes requests on, but for the faults that were asked for."""

    def __init__(self, layout: Layout) -> None:
        self._server = layout.server
        self._authority = layout.pki / "ca.crt"
        self._faults: deque[Fault] = deque()
        self._everywhere: Fault | None = None
        self._spared: set[tuple[str, str]] = set()  # requests that have met what is everywhere
        self._watches: set[asyncio.Task[object]] = set()
        self._cut = False
        self._unwatched: str | None = None  # the plural of a resource of which no watch begins
        self._held: str | None = None  # the plural of a resource whose changes wait
        self._released = asyncio.Event()
        self.waiting = 0  # changes that wait
        self.met: Counter[Fault] = Counter()  # faults that requests have met
        self.asked: dict[int, float] = {}  # when the change that made a resourceVersion was asked for, by monotonic
        self.url = ""

    async def start(self) -> None:
        """Serves on a free port of the loopback interface."""
        context = ssl.create_default_context(cafile=str(self._authority))
        connector = aiohttp.TCPConnector(ssl=context, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, read_bufsize=2**20)
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = "http://{}:{}".format(*self._runner.addresses[0][:2])

    async def stop(self) -> None:
        """Ends it."""
        await self._runner.cleanup()
        await self._session.close()

    async def plant(self, fault: Fault, count: int) -> None:
        """The next so many requests (changes alone for a conflict; never the Lease's) meet a fault."""
        self._faults.extend([fault] * count)

    async def plant_everywhere(self, fault: Fault) -> None:
        """Each request that differs from those before in method or path meets the fault, once."""
        self._everywhere = fault
        self._spared.clear()

    async def cut_watches(self) -> None:
        """Ends all watches without a word."""
        for watch in self._watches:
            watch.cancel()

    async def refuse_watches(self, plural: str) -> None:
        """Ends all watches; those of one resource don't begin again."""
        self._unwatched = plural
        await self.cut_watches()

    async def hold(self, plural: str) -> None:
        """Changes of one resource wait until all is healed."""
        self._held = plural
        self._released.clear()

    async def part(self, cut: bool) -> None:
        """Nothing passes any more, the Lease's requests neither; or everything again."""
        self._cut = cut
        if cut:
            await self.cut_watches()

    async def heal(self) -> None:
        """No more faults."""
        self._faults.clear()
        self._everywhere = self._unwatched = self._held = None
        self._released.set()
        self._cut = False

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self._cut:
            return _cut(request)
        if request.query.get("watch") == "true":
            refused = self._unwatched is not None and request.path.endswith(f"/{self._unwatched}")
            return _cut(request) if refused else await self._watch(request)
        if self._held is not None and request.method in _CHANGES and f"/{self._held}/" in request.path:
            self.waiting += 1
            await self._released.wait()
        fault = self._fault_for(request)
        if fault is not None and fault in _STATUS:
            code, reason = _STATUS[fault]
            words = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code}
            return web.json_response({**words, "message": f"planted {fault}"}, status=code)
        if fault == Fault.NO_ANSWER:
            await asyncio.sleep(FOREVER)
        try:
            answer, body = await self._pass_on(request)
        except aiohttp.ClientError:
            return _cut(request)
        if fault == Fault.LOST_ANSWER:
            return _cut(request)
        return web.Response(status=answer.status, body=body, headers=_kept(answer.headers))

    def _fault_for(self, request: web.Request) -> Fault | None:
        fault = self._everywhere or (self._faults[0] if self._faults else None)
        if fault is None or "/leases" in request.path:
            return None
        if fault == Fault.CONFLICT and request.method not in _CHANGES:
            return None
        if self._everywhere is None:
            self._faults.popleft()
        elif (what := (request.method, request.path)) in self._spared:
            return None
        else:
            self._spared.add(what)
        self.met[fault] += 1
        return fault

    async def _pass_on(self, request: web.Request) -> tuple[aiohttp.ClientResponse, bytes]:
        asked = time.monotonic()
        async with self._session.request(
            request.method,
            self._server + str(request.rel_url),
            data=await request.read() or None,
            headers=_kept(request.headers),
        ) as answer:
            body = await answer.read()
        if answer.ok and request.method in _CHANGES:
            self.asked.setdefault(int(json.loads(body)["metadata"]["resourceVersion"]), asked)
        return answer, body

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._watches.add(task)
        try:
            async with self._session.get(self._server + str(request.rel_url), headers=_kept(request.headers)) as answer:
                stream = web.StreamResponse(status=answer.status, headers=_kept(answer.headers))
                await stream.prepare(request)
                async for chunk in answer.content.iter_any():
                    await stream.write(chunk)
                return stream
        except (aiohttp.ClientError, asyncio.CancelledError):
            return _cut(request)
        finally:
            self._watches.discard(task)


def _cut(request: web.Request) -> web.Response:
    """Cuts the client's connection: what is returned goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}


def point_at(kubeconfig: str, url: str) -> str:
    """A kubeconfig whose server is another one."""
    config = json.loads(kubeconfig)
    config["clusters"][0]["cluster"] = {"server": url}
    return json.dumps(config)
