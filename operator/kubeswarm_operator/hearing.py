"""What kopf lists and watches, taken out of the API server's answers and told to the feed.

kopf would make a task of each object. Of a listing and of a watch it needs no more than the version to go on from.
"""

from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from typing import Any, Protocol, cast

import aiohttp
import orjson
from aiohttp.connector import Connection

from kubeswarm_operator.resources import Object

_CHANGES = frozenset(("ADDED", "MODIFIED", "DELETED"))


class Listener(Protocol):
    """Is told what becomes of listings and watches; `path`: that of one of them, `plural`: of what is watched."""

    def lost(self, plural: str, path: str) -> None:
        """One could not begin."""

    def watching(self, plural: str, path: str) -> None:
        """A watch has begun."""

    def takes(self, path: str) -> bool:
        """Whether objects and changes of that path are for the listener, and for nobody else."""
        ...

    def listed(self, path: str, items: list[Object], version: str, begins: bool, ends: bool) -> None:
        """A part of a listing, the first or the last of it."""

    def told(self, path: str, change: str, body: Object) -> None:
        """A watch's event: ADDED, MODIFIED or DELETED."""


def response(listener: Listener) -> type[aiohttp.ClientResponse]:
    """Answers whose objects go to the listener."""

    class Response(aiohttp.ClientResponse):
        async def start(self, connection: Connection) -> aiohttp.ClientResponse:
            await super().start(connection)
            if self.status == HTTPStatus.OK and self.url.query.get("watch") == "true" and listener.takes(self.url.path):
                self.content = cast(aiohttp.StreamReader, Heard(self.content, self.url.path, listener))
            return self

        async def json(self, **options: Any) -> Any:
            path = self.url.path
            if self.method != "GET" or "watch" in self.url.query or not listener.takes(path):
                return await super().json(**options)
            listing: Object = orjson.loads(await self.read())
            if "items" in listing:  # and not the server's refusal
                meta, begins = listing["metadata"], "continue" not in self.url.query
                listener.listed(path, listing["items"], meta["resourceVersion"], begins, not meta.get("continue"))
                listing["items"] = []
            return listing

    return Response


class Heard:
    """The content of a watch: its changes go to the listener, and who reads it finds a bookmark in their place."""

    def __init__(self, content: aiohttp.StreamReader, path: str, listener: Listener) -> None:
        self._content, self._path, self._listener = content, path, listener

    def __getattr__(self, name: str) -> Any:
        """All else that aiohttp does with a response's content."""
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Lines, some at a time: bookmarks and errors."""
        rest = b""
        async for data in self._content.iter_chunked(size):
            *lines, rest = (rest + data).split(b"\n")
            if left := b"".join(self._left(lines)):
                yield left

    def _left(self, lines: list[bytes]) -> Iterator[bytes]:
        version: str | None = None
        for line in filter(None, lines):
            event: Object = orjson.loads(line)
            if event["type"] in _CHANGES:
                self._listener.told(self._path, event["type"], event["object"])
                version = event["object"]["metadata"]["resourceVersion"]
            else:
                yield from _bookmarks(version)
                version = None
                yield line + b"\n"
        yield from _bookmarks(version)


def _bookmarks(version: str | None) -> Iterator[bytes]:
    if version is not None:
        yield orjson.dumps({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}}) + b"\n"
