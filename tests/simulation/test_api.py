"""Watches of the administrator's client."""

from collections.abc import AsyncIterator

import pytest

from hack.simulation.api import Api, Expired, Object, connect
from hack.simulation.plane import Plane

NAMESPACES = "/api/v1/namespaces"


@pytest.fixture
async def api(plane: Plane) -> AsyncIterator[Api]:
    async with connect(plane.layout) as made:
        yield made


async def test_a_watch_that_the_server_has_forgotten_the_beginning_of_says_so(api: Api) -> None:
    with pytest.raises(Expired, match="too old"):
        async for _ in api.events(NAMESPACES, "1", 10):
            pass


async def test_what_happened_before_the_server_remembers_is_seen_as_it_is(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def long_ago(path: str) -> str:
        return "1"

    monkeypatch.setattr(api, "version", long_ago)
    seen: list[str] = []

    def make_and_see(event: Object, _now: float) -> bool:
        seen.append(event["object"]["metadata"]["name"])
        return "late" in seen

    body = {"metadata": {"name": "late"}}
    await api.follow(NAMESPACES, make_and_see, 20, lambda: api.send("POST", NAMESPACES, body))
    assert "late" in seen
