"""The log follows the chain: whatever happens on the way, it is what a log read from block 0 would be."""

import http.server
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeswarm_contracts import Chain, ChainRejected, deployment
from kubeswarm_contracts.chain import POLICIES
from kubeswarm_indexer import queries, tables
from kubeswarm_indexer.follow import Moved
from kubeswarm_indexer.store import WINDOW, Store, last
from tests.chain.run_log.history import History
from tests.chain.run_log.writers import follow, write_together

OpenStore = Callable[..., Store]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[OpenStore]:
    """Opens a store in a file of that name."""
    stores: list[Store] = []

    def open_(name: str, **changes: Any) -> Store:
        stores.append(Store(f"sqlite:///{tmp_path / name}.db", deployment(31337).model_copy(update=changes)))
        return stores[-1]

    yield open_
    for store in stores:
        store.close()


def one(*arguments: Any, **key: Any) -> Any:
    """Of what must be there."""
    found = queries.one(*arguments, **key)
    assert found is not None
    return found


def rebuilt(chain: Chain, opened: OpenStore, name: str) -> list[bytes]:
    """The dump of a log that is read from block 0 now."""
    store = opened(name)
    follow(chain, store)
    return list(store.dump())


@pytest.mark.parametrize("seed", [1, 2])
def test_after_any_reorganisations_the_log_is_that_of_block_0(own_anvil, opened, seed):
    history, store = History(own_anvil, seed), opened("followed")
    follow(own_anvil.chain, store)
    history.begin()
    for number in range(12):
        for _ in range(history.random.randint(1, 3)):
            history.act()
        if number == 6:
            history.rotate()
            own_anvil.rpc("anvil_mine", hex(WINDOW + 10))
        if history.random.random() < 0.7:
            follow(own_anvil.chain, store)
        if number % 2:
            history.reorganise(history.random.choice([1, 3, 7, WINDOW + 20]))
            if history.random.random() < 0.5:
                follow(own_anvil.chain, store)
            history.anvil.rpc("anvil_mine", hex(history.random.randint(1, 3)))
        if number % 4 == 3:
            follow(own_anvil.chain, store)
            assert list(store.dump()) == rebuilt(own_anvil.chain, opened, f"rebuilt-{number}")
    history.attest()
    history.settle()
    follow(own_anvil.chain, store)
    final = b"".join(store.dump())
    assert final == b"".join(rebuilt(own_anvil.chain, opened, "final"))
    for table in (b"swarms", b"memberships", b"nodes", b"attestations", b"pools", b"campaigns", b"payments"):
        assert b'"table":"' + table in final


def test_a_chain_that_becomes_shorter_is_followed_back(own_anvil, opened):
    history, store = History(own_anvil, 3), opened("followed")
    history.begin()
    snapshot = own_anvil.rpc("evm_snapshot")
    own_anvil.rpc("anvil_mine", hex(40))
    history.attest()
    follow(own_anvil.chain, store)
    own_anvil.rpc("evm_revert", snapshot)
    follow(own_anvil.chain, store)
    head = store.head()
    assert head is not None and head.number == own_anvil.chain.block()
    assert list(store.dump()) == rebuilt(own_anvil.chain, opened, "rebuilt")


def test_a_chain_that_began_anew_is_read_anew(own_anvil, start_anvil, opened):
    store = opened("followed")
    History(own_anvil, 4).begin()
    follow(own_anvil.chain, store)
    fresh = start_anvil("--timestamp", "1700000000")
    fresh.rpc("anvil_mine", hex(500))
    telemetry = follow(fresh.chain, store)
    assert b"kubeswarm_indexer_reorganisations_total 1.0" in telemetry.page()
    assert list(store.dump()) == rebuilt(fresh.chain, opened, "rebuilt")


def test_the_log_says_what_the_contracts_say(own_anvil, opened):
    history: Any = History(own_anvil, 5)
    store = opened("log")
    history.begin()
    for _ in range(25):
        history.act()
    history.rotate()
    follow(own_anvil.chain, store)
    chain: Any = own_anvil.chain
    swarm = chain.swarm(history.swarm_id)
    with store.read() as connection:
        run = one(connection, tables.swarms, queries.run, swarm_id=history.swarm_id)
        assert (run.owner, run.policy, run.config, run.members) == (
            swarm.owner,
            swarm.policy,
            swarm.config,
            swarm.members,
        )
        assert swarm.policy in POLICIES
        attested = chain.attestations(history.swarm_id)
        data = [chain.attestation(each.uid) for each in attested]
        assert run.rounds == sum(each.last - each.first + 1 for each in attested)
        assert (run.samples, run.tokens) == (str(sum(d.samples for d in data)), str(sum(d.tokens for d in data)))
        page = queries.page(connection, tables.attestations, queries.rounds, None, 500, {})
        assert [(each.uid, each.model, each.head, each.reward) for each in page.items] == [
            (each.uid, said.model, said.head, str(said.reward)) for each, said in zip(attested, data, strict=True)
        ]
        for node in history.nodes:
            name = history.id_of(node)
            key = {"swarm_id": history.swarm_id, "node_id": name}
            found = one(connection, tables.memberships, queries.participant, **key)
            assert found.rounds == chain.next_round(history.swarm_id, name) - 1
            assert (found.head or "0x" + 64 * "0") == chain.head(history.swarm_id, name)
            assert (found.standing == "member") == chain.is_member(history.swarm_id, name)
            listed = one(connection, tables.nodes, queries.node, node_id=name)
            assert (listed.owner, listed.key) == (name, chain.key_of(name))
        pool = one(connection, tables.pools, queries.pool, pool_id=history.pool)
        assert pool.escrow == str(history.treasury.pool(history.pool).escrow)
        campaign = one(connection, tables.campaigns, queries.campaign, campaign_id=history.campaign)
        said = history.crowd.campaign(history.campaign)
        assert (campaign.raised, campaign.unspent, campaign.goal) == (str(said.raised), str(said.unspent), "10")
        mine = queries.page(connection, tables.nodes, queries.node, None, 9, {"owner": queries.owned_by(run.owner)})
        (rotated,) = mine.items
        assert rotated.key == chain.key_of(rotated.node_id) != rotated.node_id
        for node in history.nodes:
            credit = {"account": node.account.address, "fund": None, "contract": "Treasury"}
            kept = last(connection, tables.payments, **credit)
            assert (kept["balance"] if kept else 0) == history.treasury.claimable(node.account.address)


def test_another_chain_or_other_contracts_empty_the_database(own_anvil, opened):
    store = opened("log")
    follow(own_anvil.chain, store)
    assert store.head() is not None
    assert opened("log").head() == store.head()
    assert opened("log", swarm_registry="0x" + 40 * "1").head() is None
    assert opened("log").head() is None
    with pytest.raises(ChainRejected, match="leads to chain 31337 instead of 5"):
        follow(Chain(own_anvil.url, deployment(31337).model_copy(update={"chain_id": 5})), opened("five", chain_id=5))


class Between(http.server.BaseHTTPRequestHandler):
    """Stands before a chain, and lets something happen to it before the answer to a method is asked for."""

    upstream = ""
    method = b""
    happens: list[Callable[[], Any]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.method in body and self.happens:
            self.happens.pop()()
        request = urllib.request.Request(self.upstream, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as response:
            answer = response.read()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def between() -> Iterator[Callable[..., str]]:
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(upstream: str, method: bytes, happens: Callable[[], Any]) -> str:
        values = {"upstream": upstream, "method": method, "happens": [happens]}
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Between,), values)))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("method", [b"eth_getLogs", b"eth_getBlockByNumber", b"eth_call"])
@pytest.mark.parametrize("depth", [1, 4])
def test_a_chain_that_moves_while_it_is_read_leaves_nothing_half_read(own_anvil, opened, between, method, depth):
    history, store = History(own_anvil, 6), opened("followed")
    history.begin()
    follow(own_anvil.chain, store)
    history.attest()
    history.attest()
    before = list(store.dump())
    url = between(own_anvil.url, method, lambda: (history.reorganise(depth), own_anvil.rpc("anvil_mine", "0x3")))
    chain = Chain(url, deployment(31337))
    try:
        follow(chain, store)
    except Moved:
        assert list(store.dump()) == before
        follow(chain, store)
    assert list(store.dump()) == rebuilt(own_anvil.chain, opened, "rebuilt")


def test_two_writers_of_one_database_leave_one_log(own_anvil, opened):
    stores = [opened("shared"), opened("shared")]
    write_together(own_anvil, History(own_anvil, 7), stores)
    assert list(stores[1].dump()) == rebuilt(own_anvil.chain, opened, "rebuilt")
