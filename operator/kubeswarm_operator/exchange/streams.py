"""The JetStream stream of a Swarm: where its Nodes' rollouts lie until they are old."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client, RawCredentials
from nats.js import JetStreamContext
from nats.js.api import StreamConfig

from kubeswarm_api.errors import KubeSwarmError
from kubeswarm_api.exchange import stream_settings
from kubeswarm_api.names import stream_name

TIMEOUT_SECONDS = 10.0


class ExchangeUnavailable(KubeSwarmError):
    """The exchange can't be reached, or refuses. The message says which."""


async def ensure_stream(url: str, creds: str, swarm_id: str, max_bytes: int) -> bool:
    """Makes the Swarm's stream, or brings it up to date. Returns whether anything was changed.

    `creds`: text of the admin's `.creds`; `max_bytes`: disk that the stream may take. Raises ExchangeUnavailable,
    within TIMEOUT_SECONDS.
    """
    wanted = StreamConfig(**stream_settings(swarm_id, max_bytes))
    async with _jetstream(url, creds) as jetstream:
        try:
            found = (await jetstream.stream_info(stream_name(swarm_id))).config
        except nats.js.errors.NotFoundError:
            # Sequence numbers are Nodes' cursors, kept in their checkpoints. Beginning at the clock's milliseconds, a
            # stream that had to be made again goes on above the old one's, which no cursor then has passed.
            await jetstream.add_stream(wanted, first_seq=time.time_ns() // 1_000_000)
            return True
        if all(getattr(found, name) == value for name, value in vars(wanted).items() if value is not None):
            return False
        await jetstream.update_stream(wanted)
        return True


async def delete_stream(url: str, creds: str, swarm_id: str) -> bool:
    """Deletes the Swarm's stream with its messages. Returns whether there was one. Raises ExchangeUnavailable."""
    async with _jetstream(url, creds) as jetstream:
        try:
            return await jetstream.delete_stream(stream_name(swarm_id))
        except nats.js.errors.NotFoundError:
            return False


@asynccontextmanager
async def _jetstream(url: str, creds: str) -> AsyncIterator[JetStreamContext]:
    """A connection for one errand, closed at the end of it; foreign errors become ExchangeUnavailable here."""
    client = Client()
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await client.connect(
                url,
                user_credentials=RawCredentials(creds),
                allow_reconnect=False,
                connect_timeout=5,
                error_cb=_ignore,
                name="kubeswarm-operator",
            )
            yield client.jetstream(timeout=5)
    except (OSError, TimeoutError, nats.errors.Error) as error:
        raise ExchangeUnavailable(f"exchange at {url}: {error or type(error).__name__}") from error
    finally:
        await client.close()


async def _ignore(_: Exception) -> None:
    """What the client reports in the background is also raised by the call that it belongs to."""
