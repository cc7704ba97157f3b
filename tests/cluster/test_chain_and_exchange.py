"""The operator with a real chain and a real NATS server, and what it does when they are away."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import RawCredentials

from kubeswarm_api.names import stream_name
from kubeswarm_contracts import deployment
from kubeswarm_operator.exchange import Keyring, admin_credentials
from tests.chain.conftest import ETHER, Anvil
from tests.cluster.conftest import SYSTEM, Starter
from tests.cluster.control_plane import ControlPlane, until
from tests.cluster.manifests import swarm
from tests.cluster.outside import chain_settings, deploy_on, keyring_of
from tests.unit.exchange.conftest import Server

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    """A chain with the contracts on it."""
    anvil = Anvil()
    deploy_on(anvil)
    yield anvil
    anvil.stop()


def _status(cluster: ControlPlane, namespace: str, kind: str, name: str) -> dict[str, Any]:
    return (cluster.get(namespace, kind, name) or {}).get("status", {})


def _reason(
    cluster: ControlPlane, namespace: str, type: str, reason: str, kind: str = "swarm", name: str = "light"
) -> Any:
    condition = cluster.condition(namespace, kind, name, type)
    return condition if condition and condition["reason"] == reason else None


def test_creates_the_swarm_on_chain_and_funds_keys(
    cluster: ControlPlane, namespace: str, start: Starter, anvil: Anvil, account: Path
) -> None:
    start(chain=chain_settings(anvil.url, account))
    cluster.apply(swarm(namespace, nodes=2))
    until(lambda: _reason(cluster, namespace, "ChainSynced", "Synced"), 30, "ChainSynced")
    swarm_id = _status(cluster, namespace, "swarm", "light")["swarmId"]
    found = anvil.chain.swarm(swarm_id)
    assert found is not None and found.policy == "open"
    node_ids = [
        until(lambda name=f"light-{index}": _status(cluster, namespace, "swarmnode", name).get("nodeId"), 20, "nodeId")
        for index in range(2)
    ]
    assert len(set(node_ids)) == 2
    for node_id in node_ids:
        until(lambda key=node_id: anvil.chain.balance(key) == ETHER // 20, 20, "the key's target")
    config = cluster.get(namespace, "configmap", "light-0-config")
    assert config and swarm_id in config["data"]["node.json"]
    assert deployment(31337).resolver in config["data"]["node.json"]


def test_works_without_the_chain_and_catches_up(
    cluster: ControlPlane, namespace: str, start: Starter, account: Path
) -> None:
    first = start(chain=chain_settings(NOWHERE, account))
    cluster.apply(swarm(namespace, nodes=1))
    until(lambda: cluster.get(namespace, "pod", "light-0-head-0"), 30, "a head pod, chain or not")
    synced = until(lambda: _reason(cluster, namespace, "ChainSynced", "ChainUnreachable"), 30, "the reason")
    assert "training goes on" in synced["message"]
    before = cluster.get(namespace, "sts", "light-0-head")
    first.stop()
    chain = Anvil()
    try:
        start(chain=chain_settings(chain.url, account))
        synced = until(lambda: _reason(cluster, namespace, "ChainSynced", "ChainRejected"), 30, "no contracts yet")
        assert "deploy them" in synced["message"]
        deploy_on(chain)
        until(lambda: _reason(cluster, namespace, "ChainSynced", "Synced"), 30, "ChainSynced")
    finally:
        chain.stop()
    after = cluster.get(namespace, "sts", "light-0-head")
    assert before and after and after["metadata"]["uid"] == before["metadata"]["uid"]


def test_a_missing_account_is_told(cluster: ControlPlane, namespace: str, start: Starter, tmp_path: Path) -> None:
    start(chain=chain_settings(NOWHERE, tmp_path / "absent"))
    cluster.apply(swarm(namespace, nodes=1))
    synced = until(lambda: _reason(cluster, namespace, "ChainSynced", "ChainRejected"), 30, "the reason")
    assert "absent" in synced["message"]
    assert until(lambda: cluster.get(namespace, "pod", "light-0-head-0"), 30, "a head pod all the same")


def test_the_daily_budget_outlives_the_operator(
    cluster: ControlPlane, namespace: str, start: Starter, anvil: Anvil, account: Path
) -> None:
    lease = {"name": f"operator-{namespace}"}
    chain = {
        **chain_settings(anvil.url, account),
        "funding": {"minimum": "0.01", "target": "0.05", "dailyBudget": "0.06"},
    }
    first = start(chain=chain, lease=lease)
    cluster.apply(swarm(namespace, nodes=2))
    until(lambda: "1 keys need gas" in _synced(cluster, namespace, "light"), 60, "one key without gas")
    booked = cluster.get(SYSTEM, "configmap", f"operator-{namespace}-funding")
    assert booked and str(ETHER // 20) in booked["data"]["transfers.json"]
    first.stop()
    start(chain=chain, lease=lease)
    cluster.apply(swarm(namespace, name="later", nodes=1))
    until(lambda: "2 keys need gas" in _synced(cluster, namespace, "later"), 60, "two keys without gas")
    assert (cluster.get(SYSTEM, "configmap", f"operator-{namespace}-funding") or {})["data"] == booked["data"]


def _synced(cluster: ControlPlane, namespace: str, name: str) -> str:
    return (cluster.condition(namespace, "swarm", name, "ChainSynced") or {}).get("message", "")


def test_a_key_that_a_signer_holds_is_taken_over(
    cluster: ControlPlane, namespace: str, start: Starter, anvil: Anvil, account: Path
) -> None:
    address = "0x" + "1a" * 20
    said = ["--from-literal=signer-url=http://user:word@signer:9000", f"--from-literal=address={address}"]
    cluster.kubectl("-n", namespace, "create", "secret", "generic", "light-0-identity", *said)
    start(chain=chain_settings(anvil.url, account))
    cluster.apply(swarm(namespace, nodes=1))
    node = until(lambda: _status(cluster, namespace, "swarmnode", "light-0").get("nodeId"), 30, "the Node's id")
    assert node == address
    until(lambda: "9000" in _egress(cluster, namespace), 30, "the way to the signer")
    secret = cluster.get(namespace, "secret", "light-0-identity") or {}
    assert set(secret["data"]) == {"signer-url", "address"}


def _egress(cluster: ControlPlane, namespace: str) -> str:
    policy = cluster.get(namespace, "networkpolicy", "light-0-head")
    return str(policy["spec"]["egress"]) if policy else ""


def test_keeps_streams_and_credentials(cluster: ControlPlane, namespace: str, start: Starter, exchange: Server) -> None:
    secret = f"exchange-{namespace}"
    start(exchange={"url": exchange.url, "secret": secret})
    keyring = until(lambda: keyring_of(cluster, secret), 20, "the exchange's Secret")
    cluster.apply(swarm(namespace, nodes=1))
    until(lambda: "Nodes train on their own" in _exchange_message(cluster, namespace), 30, "the reason")
    pod = until(lambda: cluster.get(namespace, "pod", "light-0-head-0"), 30, "a head pod all the same")
    mounts = {c["name"]: {m["name"] for m in c["volumeMounts"]} for c in _containers(pod)}
    assert "exchange" in mounts["trainer"] and "exchange" not in mounts["attestor"]
    assert "identity" in mounts["attestor"] and "identity" not in mounts["trainer"]

    exchange.keyring = keyring
    exchange.start()
    try:
        until(lambda: _reason(cluster, namespace, "ExchangeReady", "Connected"), 60, "connected")
        stream = stream_name(_status(cluster, namespace, "swarm", "light")["swarmId"])
        assert stream in asyncio.run(_streams(exchange.url, keyring))
        cluster.kubectl("-n", namespace, "delete", "swarm/light", "--timeout=30s")
        assert stream not in asyncio.run(_streams(exchange.url, keyring))
    finally:
        exchange.stop()


def _exchange_message(cluster: ControlPlane, namespace: str) -> str:
    return (_reason(cluster, namespace, "ExchangeReady", "ExchangeUnreachable") or {}).get("message", "")


def _containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]


async def _streams(url: str, keyring: Keyring) -> list[str]:
    client = await nats.connect(url, user_credentials=RawCredentials(admin_credentials(keyring)))
    try:
        return [str(each.config.name) for each in await client.jetstream().streams_info()]
    finally:
        await client.close()


def test_a_swarm_goes_although_the_exchange_is_away(
    cluster: ControlPlane, namespace: str, start: Starter, exchange: Server
) -> None:
    start(exchange={"url": exchange.url, "secret": f"exchange-{namespace}"})
    cluster.apply(swarm(namespace, nodes=1))
    until(lambda: cluster.get(namespace, "pod", "light-0-head-0"), 30, "a head pod")
    cluster.kubectl("-n", namespace, "delete", "swarm/light", "--timeout=90s")
    assert any(event["reason"] == "StreamLeft" for event in cluster.items(namespace, "events"))
