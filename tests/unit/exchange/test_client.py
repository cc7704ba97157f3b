"""Two Nodes that exchange rollouts over a real server, and strangers who send what they should not."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack
import pytest

from kubeswarm_api.errors import InvalidBatch
from kubeswarm_api.rollouts import DROP_REASONS, MAX_BATCH_BYTES, Completion, SignedBatch
from kubeswarm_operator.exchange import admin_credentials, delete_stream, ensure_stream
from kubeswarm_workers.exchange.client import OUTBOX_BATCHES, NatsExchange
from kubeswarm_workers.exchange.inbox import CAPACITY_BYTES
from tests.unit.exchange.peers import SWARM, Notary, Peer, batch_of

WAIT_SECONDS = 20


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def members() -> set[str]:
    return set()


@pytest.fixture
def make_peer(server, tmp_path, members) -> Iterator[Callable[[], Peer]]:
    asyncio.run(ensure_stream(server.url, admin_credentials(server.keyring), SWARM, 256 * 1024 * 1024))
    peers: list[Peer] = []

    def make() -> Peer:
        peers.append(Peer(server, tmp_path, members))
        return peers[-1]

    yield make
    for peer in peers:
        if peer.client is not None:
            peer.client.close()
    assert not [each for each in threading.enumerate() if each.name == "exchange" and each.is_alive()]


def rounds(received: list[tuple[int, SignedBatch]]) -> list[int]:
    return [signed.batch.round for _, signed in received]


def test_nodes_get_one_anothers_batches_in_order_and_not_their_own(make_peer):
    anne, bert = make_peer(), make_peer()
    mine, theirs = anne.open(), bert.open()
    assert mine.received(0) == [] and theirs.received(0) == []
    for number in range(1, 4):
        mine.publish(batch_of(anne.notary, number))
    wait_for(lambda: len(theirs.received(0)) == 3)
    received = theirs.received(0)
    assert [signed for _, signed in received] == [batch_of(anne.notary, number) for number in range(1, 4)]
    cursors = [cursor for cursor, _ in received]
    assert cursors == sorted(set(cursors))
    assert rounds(theirs.received(cursors[1])) == [3]
    assert theirs.received(cursors[2]) == []
    theirs.publish(batch_of(bert.notary, 9))
    wait_for(lambda: mine.received(0))
    assert rounds(mine.received(0)) == [9]
    assert dict(theirs.dropped) == {}


def test_a_restarted_trainer_goes_on_from_its_cursor(make_peer):
    anne, bert = make_peer(), make_peer()
    mine, theirs = anne.open(), bert.open()
    theirs.received(0)
    for number in range(1, 4):
        mine.publish(batch_of(anne.notary, number))
    wait_for(lambda: len(theirs.received(0)) == 3)
    cursor = theirs.received(0)[1][0]
    theirs.close()
    again = bert.open()
    again.received(cursor)
    wait_for(lambda: again.received(cursor))
    assert rounds(again.received(cursor)) == [3]


class Unheard(NatsExchange):
    """Its fetching swallows a cancellation, as Python 3.11's `wait_for` does where an answer comes at that moment."""

    fetches = 0

    async def _next(self, jetstream, sequence):
        self.fetches += 1
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return


def test_closing_ends_though_a_cancellation_is_swallowed(make_peer):
    anne = make_peer()
    anne.client = Unheard(anne.server.url, anne.credentials, SWARM, anne.notary)
    anne.client.received(0)
    wait_for(lambda: anne.client.fetches)
    anne.client.close()
    assert not [each for each in threading.enumerate() if each.name == "exchange" and each.is_alive()]


def replaced(signed: SignedBatch, **fields) -> SignedBatch:
    return signed.model_copy(update={"batch": signed.batch.model_copy(update=fields)})


def test_what_strangers_send_is_dropped_with_its_reason(make_peer, members):
    anne, bert, mallory = make_peer(), make_peer(), make_peer()
    members.discard(mallory.notary.node_id)
    theirs = bert.open()
    theirs.received(0)
    good = batch_of(anne.notary, 1)
    anne.send(b"", b"\xc1 not msgpack", msgpack.packb({"batch": 1, "signature": b""}), msgpack.packb([[[]]] * 1000))
    anne.send(good.encode() + b"\x00", good.encode()[:-1])
    wait_for(lambda: theirs.dropped.get("schema") == 6)
    anne.send(replaced(good, round=2).encode())  # signed for another round
    anne.send(replaced(good, groups=good.batch.groups[:1]).encode())  # another root
    anne.send(good.model_copy(update={"signature": bytes(65)}).encode())
    anne.send(good.model_copy(update={"signature": batch_of(bert.notary, 1).signature}).encode())
    wait_for(lambda: theirs.dropped.get("signature") == 2 + 1 + 2 + 2)
    anne.send(batch_of(mallory.notary, 1).encode())  # another Node's batch on her subject
    anne.send(replaced(good, swarm_id="0x" + "ee" * 32).encode())
    mallory.send(batch_of(mallory.notary, 1).encode())
    wait_for(lambda: theirs.dropped.get("membership") == 6)
    anne.send(good.encode())
    wait_for(lambda: theirs.received(0))
    assert [signed for _, signed in theirs.received(0)] == [good]
    assert set(theirs.dropped) == {"schema", "signature", "membership"} <= set(DROP_REASONS)


def test_too_large_batches_never_leave(make_peer):
    anne = make_peer()
    client = anne.open()
    completion = Completion(tokens=[70000] * 32768, logprobs=[-0.5] * 32768, reward=0, truncated=True)
    huge = batch_of(anne.notary, 1)
    groups = [huge.batch.groups[0].model_copy(update={"completions": [completion] * 16})]
    with pytest.raises(InvalidBatch, match="size"):
        client.publish(replaced(huge, groups=groups))


def test_batches_wait_for_an_attestor_that_is_away(make_peer):
    anne, bert = make_peer(), make_peer()
    bert.notary.reachable = False
    mine, theirs = anne.open(), bert.open()
    theirs.received(0)
    mine.publish(batch_of(anne.notary, 1))
    mine.publish(batch_of(anne.notary, 2))
    wait_for(lambda: not mine._outbox)
    time.sleep(1.0)
    assert theirs.received(0) == [] and dict(theirs.dropped) == {}
    bert.notary.reachable = True
    wait_for(lambda: len(theirs.received(0)) == 2)
    assert rounds(theirs.received(0)) == [1, 2]


def test_a_restarted_server_is_found_again_and_nothing_is_lost(make_peer, server):
    anne, bert = make_peer(), make_peer()
    mine, theirs = anne.open(), bert.open()
    theirs.received(0)
    mine.publish(batch_of(anne.notary, 1))
    wait_for(lambda: theirs.received(0))
    server.stop(kill=True)
    wait_for(lambda: not mine.connected and not theirs.connected)
    started = time.monotonic()
    mine.publish(batch_of(anne.notary, 2))
    assert theirs.received(theirs.received(0)[-1][0]) == []
    assert time.monotonic() - started < 1, "training waited for the exchange"
    server.start()
    wait_for(lambda: theirs.received(0))
    assert rounds(theirs.received(0)) == [2]
    assert mine.connected and theirs.connected


def test_an_exchange_that_never_answers_costs_nothing(tmp_path, members):
    """A server that takes connections and says nothing, and no credentials at all."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        notary = Notary(members)
        client = NatsExchange(f"nats://127.0.0.1:{silent.getsockname()[1]}", tmp_path / "none.creds", SWARM, notary)
        started = time.monotonic()
        for number in range(1, 3 * OUTBOX_BATCHES):
            client.publish(batch_of(notary, number))
            assert client.received(0) == []
        assert time.monotonic() - started < 1
        assert len(client._outbox) == OUTBOX_BATCHES
        assert not client.connected
        client.close()


def test_a_flood_stops_at_the_inbox_and_goes_on_when_there_is_room(make_peer):
    anne, bert = make_peer(), make_peer()
    theirs = bert.open()
    theirs._inbox._capacity = 3 * len(batch_of(anne.notary, 1).encode())
    theirs.received(0)
    anne.send(*[batch_of(anne.notary, number).encode() for number in range(1, 21)])
    seen: list[int] = []
    cursor = 0
    while len(seen) < 20:
        wait_for(lambda after=cursor: theirs.received(after))
        time.sleep(0.1)
        received = theirs.received(cursor)
        assert len(received) <= 4
        seen += rounds(received)
        cursor = received[-1][0]
    assert seen == list(range(1, 21))


def test_large_batches_of_a_hostile_member_do_not_fill_the_memory(make_peer):
    anne, bert = make_peer(), make_peer()
    theirs = bert.open()
    theirs.received(0)
    before = resident_bytes()
    garbage = b"\xdc" + bytes(MAX_BATCH_BYTES - 1)
    for _ in range(4):
        anne.send(*[garbage] * 10)
    wait_for(lambda: theirs.dropped.get("schema") == 40)
    assert resident_bytes() - before < 100 * 1024 * 1024
    completion = Completion(tokens=[70000] * 32768, logprobs=[-0.5] * 32768, reward=0, truncated=True)
    small = batch_of(anne.notary, 1)
    groups = [small.batch.groups[0].model_copy(update={"completions": [completion] * 12})]
    large = replaced(small, groups=groups)
    large = large.model_copy(update={"signature": anne.notary.sign(1, large.batch.root())})
    anne.send(*[large.encode()] * 20)
    wait_for(lambda: theirs._inbox.full)
    time.sleep(1)
    assert len(theirs.received(0)) == -(-CAPACITY_BYTES // len(large.encode()))
    assert resident_bytes() - before < 20 * CAPACITY_BYTES


def test_a_server_that_forgot_everything_is_no_end(make_peer, server):
    """The stream is made again: its numbers go on above the cursors that Nodes have."""
    anne, bert = make_peer(), make_peer()
    mine, theirs = anne.open(), bert.open()
    theirs.received(0)
    mine.publish(batch_of(anne.notary, 1))
    wait_for(lambda: theirs.received(0))
    cursor = theirs.received(0)[0][0]
    admin = admin_credentials(server.keyring)
    asyncio.run(delete_stream(server.url, admin, SWARM))
    mine.publish(batch_of(anne.notary, 2))  # waits for a stream
    time.sleep(0.5)
    asyncio.run(ensure_stream(server.url, admin, SWARM, 256 * 1024 * 1024))
    wait_for(lambda: theirs.received(cursor))
    assert rounds(theirs.received(cursor)) == [2]
