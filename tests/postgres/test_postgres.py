"""On PostgreSQL the log is the same to the byte as on SQLite, and so is what the API answers."""

from pathlib import Path

from fastapi.testclient import TestClient

from kubeswarm_contracts import deployment
from kubeswarm_indexer import api
from kubeswarm_indexer.follow import Follower
from kubeswarm_indexer.store import WINDOW, Store
from kubeswarm_indexer.telemetry import Telemetry
from tests.chain.run_log.history import History
from tests.chain.run_log.writers import follow, write_together


def follower(anvil, store: Store) -> Follower:
    return Follower(anvil.chain, store, Telemetry())


def test_the_same_history_leaves_the_same_bytes(own_anvil, database, tmp_path: Path):
    history = History(own_anvil, 21)
    stores = [Store(url, deployment(31337)) for url in (database("log"), f"sqlite:///{tmp_path / 'log.db'}")]
    history.begin()
    for number in range(10):
        history.act()
        history.describe()
        follow(own_anvil.chain, stores[0])
        if number % 3 == 2:
            history.reorganise(history.random.choice([1, 4, WINDOW + 20]))
            own_anvil.rpc("anvil_mine", "0x2")
    history.attest()
    history.settle()
    history.rotate()
    for store in stores:
        follow(own_anvil.chain, store)
    assert b"".join(stores[0].dump()) == b"".join(stores[1].dump())
    assert stores[0].digest() == stores[1].digest()

    clients = [TestClient(api.create(s, follower(own_anvil, s), deployment(31337), Telemetry())) for s in stores]
    node = history.id_of(history.nodes[0])
    for path in (
        *("/v1/runs", "/v1/rounds", "/v1/nodes", "/v1/payments", "/v1/pools", "/v1/campaigns"),
        *(f"/v1/runs/{history.swarm_id}{rest}" for rest in ("", "/nodes", "/memberships", f"/nodes/{node}")),
        *(f"/v1/nodes/{node}", f"/v1/nodes/{node}/changes", f"/v1/nodes?owner={node}"),
        *(f"/v1/pools/{history.pool}", f"/v1/campaigns/{history.campaign}", "/v1/rounds?round=1"),
    ):
        answers = [client.get(path) for client in clients]
        assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
        assert answers[0].json() == answers[1].json()
    for store in stores:
        store.close()


def test_two_writers_leave_one_log(own_anvil, database):
    url = database("shared")
    stores = [Store(url, deployment(31337)) for _ in range(2)]
    write_together(own_anvil, History(own_anvil, 22), stores)
    fresh = Store(database("fresh"), deployment(31337))
    follow(own_anvil.chain, fresh)
    assert stores[1].digest() == fresh.digest()
    for store in (*stores, fresh):
        store.close()


def test_a_database_that_goes_away_is_told_and_comes_back(own_anvil, database):
    url = database("lost")
    store = Store(url, deployment(31337))
    following = follower(own_anvil, store)
    following.catch_up()
    client = TestClient(api.create(store, following, deployment(31337), Telemetry()))
    assert client.get("/v1/log").status_code == 200
    database("lost")  # dropped under its feet, and made anew without tables
    assert client.get("/v1/log").status_code == 503
    assert client.get("/healthz").status_code == 200
    again = Store(url, deployment(31337))
    follow(own_anvil.chain, again)
    assert client.get("/v1/log").json()["head"]["number"] == own_anvil.chain.block()
    for each in (store, again):
        each.close()
