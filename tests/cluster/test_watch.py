"""Watches: their health is told, and what is listed goes to the feed, what was deleted meanwhile included."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from kubeswarm_operator.feed import SELECTOR, Feed
from kubeswarm_operator.observe.store import Store
from kubeswarm_operator.queue import WorkQueue
from kubeswarm_operator.resources import CONFIG_MAPS, EVENTS, WATCHED
from kubeswarm_operator.session import open_session
from tests.cluster.conftest import Starter
from tests.cluster.control_plane import ControlPlane, until
from tests.cluster.manifests import swarm


def test_the_endpoint_tells_of_watches_requests_and_objects(
    cluster: ControlPlane, namespace: str, start: Starter
) -> None:
    operator = start()
    cluster.apply(swarm(namespace, nodes=1))
    until(lambda: cluster.get(namespace, "sts", "light-0-head"), 20, "its work")
    until(operator.ready, 10, "ready")
    assert operator.get("/healthz") == "ok\n"
    metrics = operator.get("/metrics")
    for resource in WATCHED:
        assert f'kubeswarm_operator_watch_age_seconds{{resource="{resource.plural}"}}' in metrics
    assert 'api_requests_total{code="201",resource="statefulsets",verb="create"} 1.0' in metrics
    assert "kubeswarm_operator_leader 1.0" in metrics
    until(lambda: 'kubeswarm_operator_swarms{ready="False"} 1.0' in operator.get("/metrics"), 10, "its first status")


def test_a_standby_is_ready_and_does_not_lead(namespace: str, start: Starter) -> None:
    start()
    standby = start(leads=False)
    until(standby.ready, 20, "ready")
    assert "kubeswarm_operator_leader 0.0" in standby.get("/metrics")


def watched(namespace: str) -> dict[str, Any]:
    """Metadata of what the operator watches."""
    label, value = SELECTOR.split("=")
    return {"namespace": namespace, "labels": {label: value, "kubeswarm.dev/node": "light-0"}}


async def test_the_feed_takes_what_is_listed_and_kopf_gets_none_of_it(
    cluster: ControlPlane, namespace: str, operator_kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(operator_kubeconfig))
    for name in ("first", "second", "goes"):
        cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **watched(namespace)}})
    store: Store = Store()
    store.put(CONFIG_MAPS, cluster.get(namespace, "configmap", "goes") or {})
    cluster.kubectl("-n", namespace, "delete", "configmap/goes")
    nodes: WorkQueue[tuple[str, str]] = WorkQueue()
    session, server = open_session(Feed(store, WorkQueue(), nodes, [namespace]))
    query = {"labelSelector": SELECTOR, "limit": "1"}
    async with session:
        while True:
            async with session.get(server + CONFIG_MAPS.path(namespace), params=query) as response:
                answer = await response.json()
            assert answer["items"] == []
            assert int(answer["metadata"]["resourceVersion"]) > 0
            if "continue" not in answer["metadata"]:
                break
            query["continue"] = answer["metadata"]["continue"]
        async with session.get(server + EVENTS.path(namespace)) as response:
            assert (await response.json())["kind"] == "EventList"
    assert await nodes.get() == (namespace, "light-0")
    assert sorted(body["metadata"]["name"] for body in store.all(CONFIG_MAPS)) == ["first", "second"]


async def test_the_feed_hears_what_is_watched_and_kopf_gets_bookmarks(
    cluster: ControlPlane, namespace: str, operator_kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(operator_kubeconfig))
    store: Store = Store()
    session, server = open_session(Feed(store, WorkQueue(), WorkQueue(), [namespace]))
    url, bookmarks = server + CONFIG_MAPS.path(namespace), list[int]()
    async with session, session.get(url, params={"labelSelector": SELECTOR, "watch": "true"}) as response:
        lines = response.content.iter_chunked(2**20)

        async def heard(name: str, data: dict[str, str]) -> None:
            """The watch until the object is as it should be."""
            while (store.get(CONFIG_MAPS, namespace, name) or {}).get("data", {}) != data:
                for line in (await anext(lines)).splitlines():
                    event = orjson.loads(line)
                    assert event["type"] == "BOOKMARK"
                    bookmarks.append(int(event["object"]["metadata"]["resourceVersion"]))

        for data in ({"a": "1"}, {"a": "2"}):
            cluster.apply(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": "it", **watched(namespace)},
                    "data": data,
                }
            )
            await heard("it", data)
        cluster.kubectl("-n", namespace, "delete", "configmap/it")
        await heard("it", {})
    assert bookmarks == sorted(bookmarks) and len(bookmarks) >= 3
