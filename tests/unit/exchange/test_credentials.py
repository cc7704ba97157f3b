"""What the operator mints, held against a real server: who gets in, and what they may do there."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats.errors
import nats.js.errors
import pytest
from nats.aio.client import Client, RawCredentials
from nats.js import JetStreamContext

from kubeswarm_api.errors import InvalidConfig
from kubeswarm_api.names import groups_subject, inbox_prefix, stream_name
from kubeswarm_api.rollouts import MAX_MESSAGE_BYTES
from kubeswarm_operator.exchange import (
    ExchangeUnavailable,
    Keyring,
    admin_credentials,
    delete_stream,
    ensure_stream,
    nats_conf,
    new_keyring,
    node_credentials,
)

SWARM, OTHER_SWARM = "0x" + "ab" * 32, "0x" + "cd" * 32
ANNE, BERT = "0x" + "11" * 20, "0x" + "22" * 20
STREAM = stream_name(SWARM)
MEBIBYTE = 1024 * 1024


@asynccontextmanager
async def connected(server, creds: str, inbox: str = "_INBOX") -> AsyncIterator[tuple[Client, JetStreamContext, list]]:
    """A client, its JetStream view, and the errors that the server reported to it."""
    client, reported = Client(), []

    async def remember(error: Exception) -> None:
        reported.append(error)

    await client.connect(
        server.url,
        user_credentials=RawCredentials(creds),
        inbox_prefix=inbox,
        allow_reconnect=False,
        error_cb=remember,
    )
    try:
        yield client, client.jetstream(timeout=2), reported
    finally:
        await client.close()


@pytest.fixture
async def admin(server) -> str:
    creds = admin_credentials(server.keyring)
    assert await ensure_stream(server.url, creds, SWARM, 256 * MEBIBYTE)
    assert await ensure_stream(server.url, creds, OTHER_SWARM, 256 * MEBIBYTE)
    return creds


def anne(server):
    return connected(server, node_credentials(server.keyring, SWARM, ANNE), inbox_prefix(ANNE))


def bert(server):
    return connected(server, node_credentials(server.keyring, SWARM, BERT), inbox_prefix(BERT))


async def next_message(jetstream: JetStreamContext, seq: int, swarm: str = SWARM):
    return await jetstream.get_msg(stream_name(swarm), seq, groups_subject(swarm, "*"), direct=True, next=True)


async def test_a_node_publishes_and_another_reads(server, admin):
    async with anne(server) as (_, mine, _), bert(server) as (_, theirs, _):
        acknowledged = await mine.publish(groups_subject(SWARM, ANNE), b"hello")
        found = await next_message(theirs, 1)
        assert (found.seq, found.subject, found.data) == (acknowledged.seq, groups_subject(SWARM, ANNE), b"hello")
        with pytest.raises(nats.js.errors.NotFoundError):
            await next_message(theirs, acknowledged.seq + 1)


@pytest.mark.parametrize(
    "subject",
    [
        groups_subject(SWARM, BERT),
        groups_subject(OTHER_SWARM, ANNE),
        f"$JS.API.STREAM.DELETE.{STREAM}",
        f"$JS.API.STREAM.PURGE.{STREAM}",
        f"$JS.API.STREAM.UPDATE.{STREAM}",
        f"$JS.API.STREAM.MSG.DELETE.{STREAM}",
        f"$JS.API.STREAM.INFO.{stream_name(OTHER_SWARM)}",
        f"$JS.API.CONSUMER.CREATE.{STREAM}",
        f"$JS.API.DIRECT.GET.{stream_name(OTHER_SWARM)}",
        "$SYS.REQ.SERVER.PING",
        "$JS.API.INFO",
    ],
)
async def test_a_node_may_publish_nowhere_else(server, admin, subject):
    async with anne(server) as (client, _, reported):
        with pytest.raises(nats.errors.TimeoutError):
            await client.request(subject, b"{}", timeout=0.3)
        assert any("permissions violation" in str(error).lower() for error in reported), reported


@pytest.mark.parametrize("subject", [groups_subject(SWARM, "*"), f"{inbox_prefix(BERT)}.>", "_INBOX.>", ">"])
async def test_a_node_may_listen_nowhere_else(server, admin, subject):
    async with anne(server) as (client, _, reported):
        await client.subscribe(subject)
        await client.flush()
        await asyncio.sleep(0.1)
        assert any("permissions violation" in str(error).lower() for error in reported), reported


async def test_the_servers_answers_cannot_be_turned_against_it(server, admin):
    """The reply subject is under no permission: a Node may have the server's own answer sent anywhere."""
    async with anne(server) as (client, mine, _), bert(server) as (_, theirs, _):
        first = await theirs.publish(groups_subject(SWARM, BERT), b"bert's")
        empty = await mine.publish(groups_subject(SWARM, ANNE), b"")
        for reply in (
            f"$JS.API.STREAM.DELETE.{STREAM}",
            f"$JS.API.STREAM.PURGE.{STREAM}",
            f"$JS.API.STREAM.DELETE.{stream_name(OTHER_SWARM)}",
            groups_subject(SWARM, BERT),
            groups_subject(OTHER_SWARM, BERT),
        ):
            await client.publish(f"$JS.API.DIRECT.GET.{STREAM}", json.dumps({"seq": empty.seq}).encode(), reply=reply)
            await client.publish(groups_subject(SWARM, ANNE), b"x", reply=reply)
            await client.flush()
        await asyncio.sleep(0.3)
        assert (await next_message(theirs, 1)).seq == first.seq
        seen, seq = [], 1
        with pytest.raises(nats.js.errors.NotFoundError):
            while True:
                found = await next_message(theirs, seq)
                seen.append((found.subject, found.data))
                seq = (found.seq or 0) + 1
        assert seen == [
            (groups_subject(SWARM, BERT), b"bert's"),
            (groups_subject(SWARM, ANNE), None),
            *[(groups_subject(SWARM, ANNE), b"x")] * 5,
        ]
        assert not await ensure_stream(server.url, admin, OTHER_SWARM, 256 * MEBIBYTE)


async def test_strangers_do_not_get_in(server, admin):
    for creds in (node_credentials(new_keyring(), SWARM, ANNE), admin_credentials(new_keyring())):
        with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
            async with connected(server, creds):
                pass
    with pytest.raises(ExchangeUnavailable, match=r"(?i)authorization"):
        await ensure_stream(server.url, admin_credentials(new_keyring()), SWARM, 256 * MEBIBYTE)
    client = Client()
    with pytest.raises(nats.errors.Error):
        await client.connect(server.url, allow_reconnect=False)


async def test_a_token_without_its_seed_is_worth_nothing(server, admin):
    stolen = node_credentials(server.keyring, SWARM, ANNE).partition("-----BEGIN USER")[0]
    own = node_credentials(server.keyring, SWARM, BERT)
    with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
        async with connected(server, stolen + own[own.index("-----BEGIN USER") :]):
            pass


async def test_messages_outlive_the_server(server, admin):
    async with anne(server) as (_, mine, _):
        kept = await mine.publish(groups_subject(SWARM, ANNE), b"kept")
    server.stop(kill=True)
    server.start()
    async with bert(server) as (_, theirs, _):
        assert (await next_message(theirs, 1)).seq == kept.seq


async def test_too_large_messages_are_refused(server, admin):
    async with anne(server) as (client, mine, _):
        with pytest.raises(nats.errors.MaxPayloadError):
            await mine.publish(groups_subject(SWARM, ANNE), bytes(5 * MEBIBYTE))
        # The server enforces what it announces, by closing the connection.
        assert client.max_payload == MAX_MESSAGE_BYTES


async def test_a_node_keeps_its_last_messages_only(server, admin):
    async with anne(server) as (_, mine, _):
        sequences = [(await mine.publish(groups_subject(SWARM, ANNE), b"%d" % i)).seq for i in range(80)]
        assert (await next_message(mine, 1)).seq == sequences[-64]


async def test_streams_are_made_updated_and_deleted_once(server, admin):
    assert not await ensure_stream(server.url, admin, SWARM, 256 * MEBIBYTE)
    assert await ensure_stream(server.url, admin, SWARM, 128 * MEBIBYTE)
    assert not await ensure_stream(server.url, admin, SWARM, 128 * MEBIBYTE)
    assert await delete_stream(server.url, admin, SWARM)
    assert not await delete_stream(server.url, admin, SWARM)


async def test_a_stream_made_again_counts_on_from_the_old_one(server, admin):
    async with anne(server) as (_, mine, _):
        before = (await mine.publish(groups_subject(SWARM, ANNE), b"old")).seq
        await delete_stream(server.url, admin, SWARM)
        await asyncio.sleep(0.01)
        await ensure_stream(server.url, admin, SWARM, 256 * MEBIBYTE)
        assert (await mine.publish(groups_subject(SWARM, ANNE), b"new")).seq > before


async def test_no_server_is_an_error_within_bounds(server, admin):
    server.stop()
    async with asyncio.timeout(12):
        with pytest.raises(ExchangeUnavailable, match="exchange at nats://"):
            await ensure_stream(server.url, admin, SWARM, 256 * MEBIBYTE)


def test_the_keyring_survives_its_secret():
    keyring = new_keyring()
    assert Keyring.from_secret({**keyring.to_secret(), "nats.conf": "…"}) == keyring
    assert nats_conf(keyring) == nats_conf(keyring)
    for seed in keyring.to_secret().values():
        assert seed not in nats_conf(keyring)
        assert seed not in repr(keyring)


@pytest.mark.parametrize("damage", [{}, {"streams.seed": "SAAA"}, {"streams.seed": ""}])
def test_a_damaged_secret_is_named(damage):
    data = new_keyring().to_secret()
    del data["streams.seed"]
    with pytest.raises(InvalidConfig, match=r"streams\.seed"):
        Keyring.from_secret({**data, **damage})
