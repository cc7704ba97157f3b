"""Watches of the administrator's client."""

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from hack.simulation.api import Api, Object, WatchRefused, connect
from hack.simulation.plane import Plane, operator_account
from tests.simulation.proxy import Fault, Proxy

NAMESPACES = "/api/v1/namespaces"
SWARMS = "/apis/kubeswarm.dev/v1alpha1/swarms"
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
    whole, asked, seen = api.events, list[str](), list[tuple[str, str]]()

    def refused_once(path: str, version: str, seconds: float) -> AsyncIterator[Object]:
        asked.append(version)
        return whole(path, NEVER if len(asked) == 1 else version, seconds)

    def see(event: Object, _now: float) -> bool:
        seen.append((event["type"], event["object"]["metadata"]["name"]))
        return len(seen) >= len(before)

    monkeypatch.setattr(api, "events", refused_once)
    maps = "/api/v1/namespaces/default/configmaps"
    await api.send("POST", maps, {"metadata": {"name": "early"}})
    before = await api.items(maps)
    await api.follow(maps, see, 20, lambda: api.send("DELETE", f"{maps}/early"))
    assert seen[0] == ("DELETED", "early") and all(kind == "MODIFIED" for kind, _ in seen[1:])


async def test_a_server_without_room_is_asked_again(plane: Plane) -> None:
    token = json.loads(operator_account(plane).read_text())["users"][0]["user"]["token"]
    proxy = Proxy(plane.layout)
    await proxy.start()
    try:
        await proxy.plant(Fault.OVERLOAD, 2)
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
            assert (await Api(session, proxy.url).send("GET", SWARMS))["kind"] == "SwarmList"
        assert proxy.met[Fault.OVERLOAD] == 2
    finally:
        await proxy.stop()
