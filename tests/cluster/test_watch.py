"""Watches: their health is told, and what was deleted while one was broken is found."""

from pathlib import Path

import pytest

from kubeswarm_operator import feed as feeding
from kubeswarm_operator.feed import SELECTOR, Feed
from kubeswarm_operator.kube import connect
from kubeswarm_operator.observe.store import Store
from kubeswarm_operator.queue import WorkQueue
from kubeswarm_operator.resources import CONFIG_MAPS, WATCHED
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


async def test_a_new_listing_finds_what_vanished(
    cluster: ControlPlane, namespace: str, operator_kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(operator_kubeconfig))
    monkeypatch.setattr(feeding, "SWEEP_DELAY", 0.0)
    label, value = SELECTOR.split("=")
    metadata = {"namespace": namespace, "labels": {label: value, "kubeswarm.dev/node": "light-0"}}
    for name in ("stays", "goes"):
        cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}})
    store: Store = Store()
    for name in ("stays", "goes"):
        store.put(CONFIG_MAPS, cluster.get(namespace, "configmap", name) or {})
    cluster.kubectl("-n", namespace, "delete", "configmap/goes")
    async with connect(lambda: 0.0) as kube:
        nodes: WorkQueue[tuple[str, str]] = WorkQueue()
        feed = Feed(kube, store, WorkQueue(), nodes, [namespace])
        feed.relisted("configmaps")
        assert await nodes.get() == (namespace, "light-0")
    assert [body["metadata"]["name"] for body in store.all(CONFIG_MAPS)] == ["stays"]
