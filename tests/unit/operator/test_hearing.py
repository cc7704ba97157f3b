"""A watch's answer, cut anywhere: the listener hears of each change, the reader of how far it came and of errors."""

import itertools
import json
from collections.abc import AsyncIterator
from typing import Any, cast

import aiohttp
from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_operator.hearing import Heard, Listener

EVENTS = st.lists(st.sampled_from(["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]), max_size=12)


class Cut:
    """Content that arrives in given pieces."""

    total_bytes = 7

    def __init__(self, data: bytes, cuts: set[int]) -> None:
        edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
        self._pieces = [data[a:b] for a, b in itertools.pairwise(edges)]

    async def iter_chunked(self, _size: int) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class Ear:
    def __init__(self) -> None:
        self.told_of: list[tuple[str, str, str]] = []

    def told(self, path: str, change: str, body: dict[str, Any]) -> None:
        self.told_of.append((path, change, body["metadata"]["resourceVersion"]))


def event(kind: str, version: int) -> dict[str, Any]:
    if kind == "ERROR":
        return {"type": kind, "object": {"code": 410, "message": "no \n in it"}}
    return {"type": kind, "object": {"metadata": {"resourceVersion": str(version)}}}


@given(EVENTS, st.sets(st.integers(0, 900)))
async def test_nothing_is_lost_or_out_of_turn(kinds: list[str], cuts: set[int]) -> None:
    events = [event(kind, version) for version, kind in enumerate(kinds, 1)]
    content = Cut(b"".join(json.dumps(each).encode() + b"\n" for each in events), cuts)
    ear = Ear()
    heard = Heard(cast(aiohttp.StreamReader, content), "/a/path", cast(Listener, ear))
    read = [json.loads(line) async for lines in heard.iter_chunked(2**20) for line in lines.splitlines()]

    changes = [each for each in events if each["type"] not in ("BOOKMARK", "ERROR")]
    assert ear.told_of == [("/a/path", each["type"], each["object"]["metadata"]["resourceVersion"]) for each in changes]
    assert [each for each in read if each["type"] == "ERROR"] == [each for each in events if each["type"] == "ERROR"]
    assert {each["type"] for each in read} <= {"BOOKMARK", "ERROR"}
    # Up to each error, and at the end, the reader knows the version of all before.
    assert _versions(read) == _versions(events)
    assert heard.total_bytes == 7, "the rest of it is the content's own"


def _versions(events: list[dict[str, Any]]) -> list[str | None]:
    """The newest version before each error and at the end."""
    newest: str | None = None
    found: list[str | None] = []
    for each in events:
        if each["type"] == "ERROR":
            found.append(newest)
        else:
            newest = each["object"]["metadata"]["resourceVersion"]
    return [*found, newest]
