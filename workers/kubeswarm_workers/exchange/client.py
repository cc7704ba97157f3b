"""The exchange's client: NATS on an asyncio loop in a thread of its own, so that training never waits for it."""

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import Header, RawStreamMsg

from kubeswarm_api.names import groups_subject, inbox_prefix, stream_name
from kubeswarm_api.records import Digest
from kubeswarm_api.rollouts import SignedBatch
from kubeswarm_workers.exchange.admit import Refused, admit
from kubeswarm_workers.exchange.inbox import Inbox
from kubeswarm_workers.ports import Notary

log = logging.getLogger(__name__)

#: Own batches that wait for the connection; the newest are worth the most.
OUTBOX_BATCHES = 4
#: Between looks for the next message where there was none.
POLL_SECONDS = 0.5
REQUEST_SECONDS = 5.0
FIRST_RETRY_SECONDS = 0.25
LAST_RETRY_SECONDS = 5.0
CLOSE_SECONDS, CANCEL_SECONDS = 3.0, 0.1
#: What a request may end with while the connection stands: the stream is not there yet, or the server is busy.
PASSING = (nats.errors.TimeoutError, nats.errors.NoRespondersError, nats.js.errors.Error)


@dataclass(frozen=True)
class _Outgoing:
    round: int
    message_id: str
    data: bytes


class NatsExchange:
    """A `ports.Exchange`. What a stranger sends can't raise out of it, nor make it keep more than its bounds."""

    def __init__(self, url: str, credentials: Path, swarm_id: Digest, notary: Notary) -> None:
        self._url, self._credentials, self._swarm_id, self._notary = url, credentials, swarm_id, notary
        self._subject = groups_subject(swarm_id, notary.node_id)
        self._inbox = Inbox()
        self._outbox: deque[_Outgoing] = deque(maxlen=OUTBOX_BATCHES)
        self._connected = False
        self._trouble: str | None = None
        self._loop = asyncio.new_event_loop()
        self._end, self._filled = asyncio.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="exchange", daemon=True)
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Whether the connection stands now."""
        return self._connected

    @property
    def dropped(self) -> Mapping[str, int]:
        """Foreign groups refused since this was opened, by reason; a message that can't be read counts as one."""
        return self._inbox.dropped

    def publish(self, batch: SignedBatch) -> None:
        """Hands a batch over. The oldest of OUTBOX_BATCHES makes room. Raises InvalidBatch (size)."""
        data = batch.encode()
        if len(self._outbox) == OUTBOX_BATCHES:
            log.warning("batch given up: the exchange took none in time", extra={"round": self._outbox[0].round})
        number = batch.batch.round
        self._outbox.append(_Outgoing(number, f"{self._notary.node_id}-{number}-{batch.signature.hex()[:16]}", data))
        self._loop.call_soon_threadsafe(self._filled.set)

    def received(self, after: int) -> list[tuple[int, SignedBatch]]:
        """Foreign batches with a cursor above `after`. The first call says where to begin fetching."""
        return self._inbox.take(after)

    def close(self) -> None:
        """Sends what is left, for at most CLOSE_SECONDS, and disconnects."""
        end = time.monotonic() + CLOSE_SECONDS
        while self._outbox and self._connected and time.monotonic() < end:
            time.sleep(0.02)
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._stay_connected())

    async def _stay_connected(self) -> None:
        retry = FIRST_RETRY_SECONDS
        while not self._end.is_set():
            try:
                await self._session()
                retry = FIRST_RETRY_SECONDS
                self._say("the connection was lost")
            except Exception as error:  # this thread must outlive whatever server, credentials and library do
                foreseen = isinstance(error, (nats.errors.Error, OSError))
                self._say(str(error) or type(error).__name__, None if foreseen else error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._end.wait(), retry)
            retry = min(2 * retry, LAST_RETRY_SECONDS)

    async def _session(self) -> None:
        """Connects, sends and fetches until the connection is lost or this is closed."""
        client, lost = Client(), asyncio.Event()

        async def on_closed() -> None:
            lost.set()

        await client.connect(
            self._url,
            user_credentials=str(self._credentials),
            inbox_prefix=inbox_prefix(self._notary.node_id),
            name=self._notary.node_id,
            allow_reconnect=False,
            connect_timeout=5,
            ping_interval=10,
            closed_cb=on_closed,
            error_cb=self._on_error,
        )
        jetstream = client.jetstream(timeout=REQUEST_SECONDS)
        self._connected, self._trouble = True, None
        log.info("connected to the exchange", extra={"url": self._url})
        work: list[Coroutine[None, None, object]] = [
            self._send(jetstream),
            self._fetch(jetstream),
            lost.wait(),
            self._end.wait(),
        ]
        tasks = [asyncio.create_task(each) for each in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._connected = False
            await _end(tasks)
            await client.close()

    async def _send(self, jetstream: JetStreamContext) -> None:
        """Publishes the outbox in order. A copy sent again after a lost acknowledgement is dropped by its id."""
        while True:
            self._filled.clear()
            if not self._outbox:
                await self._filled.wait()
                continue
            first = self._outbox[0]
            try:
                await jetstream.publish(self._subject, first.data, headers={Header.MSG_ID: first.message_id})
            except nats.errors.MaxPayloadError:
                self._say(f"round {first.round} is given up: the server takes no {len(first.data)} bytes")
            except PASSING as error:
                self._say(f"round {first.round} was not taken: {error}")
                await asyncio.sleep(POLL_SECONDS)
                continue
            # `publish` of another thread may have pushed it out meanwhile.
            if self._outbox and self._outbox[0] is first:
                self._outbox.popleft()

    async def _fetch(self, jetstream: JetStreamContext) -> None:
        """Fetches message after message while there is room."""
        while True:
            position = self._inbox.position
            message = None if position is None or self._inbox.full else await self._next(jetstream, position + 1)
            if message is None:
                await asyncio.sleep(POLL_SECONDS)
            else:
                await self._receive(message)

    async def _next(self, jetstream: JetStreamContext, sequence: int) -> RawStreamMsg | None:
        everyone = groups_subject(self._swarm_id, "*")
        try:
            return await jetstream.get_msg(stream_name(self._swarm_id), sequence, everyone, direct=True, next=True)
        except nats.js.errors.NotFoundError:
            return None
        except PASSING as error:
            self._say(f"no answer from the swarm's stream: {error}")
            return None

    async def _receive(self, message: RawStreamMsg) -> None:
        """Checks a message, off the loop; waits with it for as long as nobody can tell whether it is good."""
        cursor, data = message.seq or 0, message.data or b""
        subject = message.subject or ""
        if subject == self._subject:
            self._inbox.skip(cursor)
            return
        retry = FIRST_RETRY_SECONDS
        while True:
            try:
                found = await asyncio.to_thread(admit, data, subject, self._swarm_id, self._notary)
                break
            except OSError as error:
                self._say(f"foreign batches can't be verified now: {error}")
                await asyncio.sleep(retry)
                retry = min(2 * retry, LAST_RETRY_SECONDS)
        if isinstance(found, Refused):
            # One line a reason: how often is counted, and a stranger must not fill the log.
            if found.reason not in self._inbox.dropped:
                log.warning("foreign batch refused", extra={"subject": subject, "cause": found.cause[:500]})
            self._inbox.refuse(cursor, found.reason, found.groups)
        else:
            self._inbox.put(cursor, found, len(data))

    async def _on_error(self, error: Exception) -> None:
        self._say(str(error) or type(error).__name__)

    def _say(self, trouble: str, error: Exception | None = None) -> None:
        """Logs what is wrong, once for as long as it stays the same."""
        if trouble != self._trouble and not self._end.is_set():
            self._trouble = trouble
            log.warning("exchange", extra={"cause": trouble, "url": self._url}, exc_info=error)


async def _end(tasks: list[asyncio.Task[object]]) -> None:
    """Cancels tasks until they have ended: Python 3.11's `wait_for` swallows a cancellation that meets an answer."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)
