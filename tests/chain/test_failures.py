"""Chains that stop, forget, stall or refuse, and processes that die in between: a round still counts once."""

import http.server
import json
import threading
import time
import urllib.request

import pytest

from kubeswarm_contracts import (
    Account,
    Chain,
    ChainRejected,
    ChainTimeout,
    ChainUnreachable,
    FeeCaps,
    Patience,
    Transactor,
    deployment,
    new_key,
)
from kubeswarm_contracts.deploy import DEVELOPMENT_KEY, deploy

SHORT = Patience(deadline=1.0, raise_after=10.0)


def rounds(participant) -> list[tuple[int, int]]:
    return [(each.first, each.last) for each in participant.chain.attestations(participant.swarm_id)]


def stall(anvil) -> None:
    """No more blocks: what is sent stays pending."""
    anvil.rpc("evm_setAutomine", False)


def pending(anvil) -> list[dict]:
    pool = anvil.rpc("txpool_content")["pending"]
    return [transaction for by_nonce in pool.values() for transaction in by_nonce.values()]


def test_nothing_is_lost_when_the_chain_restarts_with_its_state(start_anvil, participate, tmp_path):
    state = tmp_path / "state.json"
    anvil = start_anvil("--state", str(state))
    list(deploy(anvil.chain, Account(DEVELOPMENT_KEY)))
    participant = participate(anvil)
    participant.transactor.attest(participant.attestation(1, 4))
    before = participant.chain.attestations(participant.swarm_id)
    anvil.stop()
    with pytest.raises(ChainUnreachable):
        participant.chain.block()

    start_anvil("--state", str(state), port=anvil.port)
    assert participant.chain.attestations(participant.swarm_id) == before
    assert participant.chain.next_round(participant.swarm_id, participant.node_id) == 5
    assert [member.node_id for member in participant.chain.members(participant.swarm_id)] == [participant.node_id]
    participant.transactor.attest(participant.attestation(5, 8))
    assert rounds(participant) == [(1, 4), (5, 8)]


@pytest.mark.parametrize("depth", [1, 5, 20])
def test_a_reorganisation_takes_an_attestation_back_and_it_is_made_again(own_anvil, participate, depth):
    participant = participate(own_anvil)
    participant.transactor.attest(participant.attestation(1, 4))
    own_anvil.rpc("anvil_mine", hex(30))
    participant.transactor.attest(participant.attestation(5, 8))
    own_anvil.rpc("anvil_mine", hex(depth - 1))
    own_anvil.rpc("anvil_reorg", depth, [])
    assert rounds(participant) == [(1, 4)]
    assert participant.chain.next_round(participant.swarm_id, participant.node_id) == 5
    participant.transactor.attest(participant.attestation(5, 8))
    assert rounds(participant) == [(1, 4), (5, 8)]


def test_what_a_killed_process_left_pending_is_replaced_not_joined(own_anvil, participate):
    participant = participate(own_anvil)
    stall(own_anvil)
    with pytest.raises(ChainTimeout, match="it may still come"):
        Transactor(participant.chain, participant.account, patience=SHORT).attest(participant.attestation(1, 4))
    (left,) = pending(own_anvil)
    # The next process knows nothing of it, has one more round by now, and so sends another transaction.
    with pytest.raises(ChainTimeout):
        Transactor(participant.chain, participant.account, patience=SHORT).attest(participant.attestation(1, 5))
    (replacement,) = pending(own_anvil)
    assert replacement["nonce"] == left["nonce"]
    assert int(replacement["maxFeePerGas"], 16) > int(left["maxFeePerGas"], 16)
    own_anvil.rpc("evm_setIntervalMining", 1)
    Transactor(participant.chain, participant.account).attest(participant.attestation(1, 5))
    assert rounds(participant) == [(1, 5)]


def test_a_transaction_that_came_after_all_is_not_sent_again(own_anvil, participate):
    participant = participate(own_anvil)
    stall(own_anvil)
    with pytest.raises(ChainTimeout):
        Transactor(participant.chain, participant.account, patience=SHORT).attest(participant.attestation(1, 4))
    own_anvil.rpc("evm_mine")
    with pytest.raises(ChainRejected) as caught:
        Transactor(participant.chain, participant.account, patience=SHORT).attest(participant.attestation(1, 4))
    assert caught.value.reason == "UnexpectedRound"
    assert rounds(participant) == [(1, 4)]


def test_a_transfer_is_never_paid_twice(own_anvil):
    account, receiver = own_anvil.account(), new_key()[1]
    stall(own_anvil)
    for _ in range(3):
        with pytest.raises(ChainTimeout):
            Transactor(own_anvil.chain, account, patience=SHORT).transfer(receiver, 5)
    own_anvil.rpc("evm_mine")
    own_anvil.rpc("evm_mine")
    assert own_anvil.chain.balance(receiver) == 5


def test_an_offer_nobody_takes_is_raised(own_anvil, participate):
    participant = participate(own_anvil)
    stall(own_anvil)
    offers: list[int] = []

    def watch() -> None:
        while len(set(offers)) < 3:
            offers.extend(int(each["maxFeePerGas"], 16) for each in pending(own_anvil))
            time.sleep(0.05)
        own_anvil.rpc("evm_mine")

    miner = threading.Thread(target=watch, daemon=True)
    miner.start()
    patience = Patience(deadline=60, raise_after=0.5)
    result = Transactor(participant.chain, participant.account, patience=patience).attest(participant.attestation(1, 4))
    miner.join(10)
    assert offers == sorted(offers)
    assert int(own_anvil.rpc("eth_getTransactionByHash", result.tx_hash)["maxFeePerGas"], 16) == max(offers)
    assert rounds(participant) == [(1, 4)]


def test_two_processes_with_one_key_attest_each_round_once(own_anvil, participate):
    participant = participate(own_anvil)
    own_anvil.rpc("evm_setAutomine", False)
    own_anvil.rpc("evm_setIntervalMining", 1)
    failures: list[ChainRejected] = []

    def attestor() -> None:
        transactor = Transactor(participant.chain, participant.account, patience=Patience(30, 2))
        while (first := participant.chain.next_round(participant.swarm_id, participant.node_id)) <= 12:
            try:
                transactor.attest(participant.attestation(first, first + 3))
            except ChainRejected as error:
                failures.append(error)

    attestors = [threading.Thread(target=attestor) for _ in range(2)]
    for each in attestors:
        each.start()
    for each in attestors:
        each.join(90)
    assert rounds(participant) == [(1, 4), (5, 8), (9, 12)]
    assert {failure.reason for failure in failures} <= {"NonceTaken", "UnexpectedRound"}


def test_a_base_fee_over_the_cap_is_not_paid(own_anvil):
    own_anvil.rpc("anvil_setNextBlockBaseFeePerGas", hex(300 * 10**9))
    own_anvil.rpc("evm_mine")
    transactor = Transactor(own_anvil.chain, own_anvil.account(), caps=FeeCaps(total=100 * 10**9))
    with pytest.raises(ChainRejected, match="wait or raise it") as caught:
        transactor.register()
    assert caught.value.reason == "FeeAboveCap"
    assert pending(own_anvil) == []


def test_a_chain_that_does_not_answer_is_told_quickly():
    chain = Chain("http://127.0.0.1:9/secret-token", deployment(31337))
    start = time.monotonic()
    with pytest.raises(ChainUnreachable, match=r"check chain\.url") as caught:
        chain.block()
    with pytest.raises(ChainUnreachable):
        Transactor(chain, Account(DEVELOPMENT_KEY)).register()
    assert time.monotonic() - start < 5
    assert "secret-token" not in str(caught.value)
    with pytest.raises(ChainUnreachable):
        chain.wait(0.6)
    with pytest.raises(ValueError, match=r"chain\.url must be"):
        Chain("ftp://example.org", deployment(31337))


class Endpoint(http.server.BaseHTTPRequestHandler):
    """Stands before a real chain as public endpoints do: log queries over few blocks only, at times out of order."""

    upstream = ""
    blocks = 7
    status = 200
    queries: list[int]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.answer(body))

    def answer(self, body: bytes) -> bytes:
        request = json.loads(body)
        if isinstance(request, dict) and request["method"] == "eth_getLogs":
            wanted = request["params"][0]
            span = int(wanted["toBlock"], 16) - int(wanted["fromBlock"], 16) + 1
            self.queries.append(span)
            if span > self.blocks:
                error = {"code": -32005, "message": "query exceeds max block range"}
                return json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error}).encode()
        return self.forward(body)

    def forward(self, body: bytes) -> bytes:
        forwarded = urllib.request.Request(self.upstream, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(forwarded, timeout=10) as response:
            return response.read()

    def log_message(self, format: str, *args: object) -> None:
        pass


class Rubbish(Endpoint):
    def answer(self, body: bytes) -> bytes:
        return b"<html>hello</html>"


class Broken(Endpoint):
    status = 503


@pytest.fixture
def endpoint():
    servers = []

    def start(kind: type[Endpoint], upstream: str) -> str:
        handler = type(kind.__name__, (kind,), {"upstream": upstream, "queries": []})
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_log_queries_shrink_to_what_an_endpoint_takes(own_anvil, participate, endpoint):
    participant = participate(own_anvil)
    for first in (1, 3, 5):
        participant.transactor.attest(participant.attestation(first, first + 1))
        own_anvil.rpc("anvil_mine", hex(20))
    narrow = Chain(endpoint(Endpoint, own_anvil.url), deployment(31337))
    assert narrow.attestations(participant.swarm_id) == participant.chain.attestations(participant.swarm_id)
    assert narrow.members(participant.swarm_id) == participant.chain.members(participant.swarm_id)


@pytest.mark.parametrize("kind", [Rubbish, Broken])
def test_an_endpoint_that_answers_rubbish_is_unreachable(own_anvil, endpoint, kind):
    chain = Chain(endpoint(kind, own_anvil.url), deployment(31337))
    with pytest.raises(ChainUnreachable):
        chain.block()
    with pytest.raises(ChainUnreachable):
        chain.rpc.batch([("eth_blockNumber", [])])


def test_what_fails_in_its_block_is_told_where_no_old_states_are_kept(start_anvil, participate):
    anvil = start_anvil("--prune-history", "--order=fifo")
    list(deploy(anvil.chain, Account(DEVELOPMENT_KEY)))
    participant = participate(anvil)
    stall(anvil)
    failures: list[ChainRejected] = []

    def leave() -> None:
        try:
            participant.transactor.leave(participant.swarm_id, participant.node_id)
        except ChainRejected as refused:
            failures.append(refused)

    ejecting = threading.Thread(target=participant.owner.eject, args=(participant.swarm_id, participant.node_id, ""))
    leaving = threading.Thread(target=leave)
    for number, thread in enumerate((ejecting, leaving), 1):
        thread.start()
        end = time.monotonic() + 30
        while len(pending(anvil)) < number:
            assert time.monotonic() < end
            time.sleep(0.02)
    anvil.rpc("anvil_mine", "0x2")
    for thread in (ejecting, leaving):
        thread.join(30)
    assert [each.reason for each in failures] == ["Reverted"]
