"""Watches of the administrator's client."""

from collections.abc import AsyncIterator

import pytest

from hack.simulation.api import Api, Object, WatchRefused, connect
from hack.simulation.plane import Plane

NAMESPACES = "/api/v1/namespaces"
#: A resourceVersion that the server can make nothing of.
NEVER = "never"


@pytest.fixture
async def api(plane: Plane) -> AsyncIterator[Api]:
    async with connect(plane.layout) as made:
        yield made


async def test_a_watch_that_the_server_can_not_begin_says_so(api: Api) -> None:
    with pytest.raises(WatchRefused, match="Invalid value"):
        async for _ in api.events(NAMESPACES, NEVER, 10):
            pass


async def test_what_a_refused_watch_would_have_told_is_seen_as_it_is(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(path: str) -> str:
        return NEVER

    monkeypatch.setattr(api, "version", never)
    seen: set[str] = set()

    def see(event: Object, _now: float) -> bool:
        seen.add(event["object"]["metadata"]["name"])
        return "late" in seen

    await api.follow(NAMESPACES, see, 20, lambda: api.send("POST", NAMESPACES, {"metadata": {"name": "late"}}))
    assert {"late", "default"} <= seen
