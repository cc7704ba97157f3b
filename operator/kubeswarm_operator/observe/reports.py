"""What head pods say of themselves: asked over HTTP by pod IP, with short deadlines, only while they run."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
from pydantic import ValidationError

from kubeswarm_api.names import ATTESTOR_CONTAINER, ATTESTOR_PORT, HEAD, NODE_LABEL, ROLE_LABEL, TRAINER_PORT
from kubeswarm_api.reports import AttestorReport, NodeReport
from kubeswarm_operator.observe.snapshot import Reports, container_statuses
from kubeswarm_operator.observe.store import Key, Store
from kubeswarm_operator.resources import PODS, Object

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 2.0
#: A report that could not be renewed for so long is dropped.
STALE_SECONDS = 60.0
#: Who says the same again is asked half as often, down to this share.
SELDOM = 4
#: Pods asked at a time, and bytes read of an answer at most.
PARALLEL, MAX_BYTES = 16, 65536

R = TypeVar("R", NodeReport, AttestorReport)


@dataclass(frozen=True)
class _Heard:
    pod: str  # uid
    at: float  # when the trainer answered last
    reports: Reports
    interval: float  # seconds until it is asked again
    due: float


class ReportPoller:
    """The latest reports by Node."""

    def __init__(self, store: Store, seconds: float, changed: Callable[[Key], None]) -> None:
        self._store = store
        self._seconds = seconds
        self._changed = changed
        self._heard: dict[Key, _Heard] = {}
        self._session: aiohttp.ClientSession | None = None
        self._gate = asyncio.Semaphore(PARALLEL)
        self.first = asyncio.Event()  # all pods have been asked once

    def reports(self, node: Key, pod_uid: str | None) -> Reports:
        """What the Node's pod of that uid said last."""
        heard = self._heard.get(node)
        return heard.reports if heard is not None and heard.pod == pod_uid else Reports()

    async def poll(self) -> None:
        """Asks all running head pods, for ever."""
        # A pod's connection is kept until it is asked again: to open one costs more than to ask.
        connector = aiohttp.TCPConnector(keepalive_timeout=2 * SELDOM * self._seconds)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as self._session:
            while True:
                pods = {_node_of(pod): pod for pod in self._store.all(PODS) if _answers(pod)}
                now = time.monotonic()
                for node in self._heard.keys() - pods.keys():
                    del self._heard[node]
                    self._changed(node)
                due = [(node, pod) for node, pod in pods.items() if self._is_due(node, pod, now)]
                await asyncio.gather(*(self._hear(self._session, node, pod) for node, pod in due))
                self.first.set()
                await asyncio.sleep(self._seconds)

    async def first_word(self, pod: Object) -> None:
        """Asks a head pod that was never asked, so that the first status that says Ready has its numbers too."""
        heard = self._heard.get(_node_of(pod))
        known = heard is not None and heard.pod == pod["metadata"]["uid"]
        if self._session is not None and not known and _answers(pod):
            await self._ask(self._session, _node_of(pod), pod)

    def _is_due(self, node: Key, pod: Object, now: float) -> bool:
        heard = self._heard.get(node)
        return heard is None or heard.pod != pod["metadata"]["uid"] or heard.due <= now

    async def _hear(self, session: aiohttp.ClientSession, node: Key, pod: Object) -> None:
        if await self._ask(session, node, pod):
            self._changed(node)

    async def _ask(self, session: aiohttp.ClientSession, node: Key, pod: Object) -> bool:
        """Asks a pod; returns whether it says something new."""
        uid, address = pod["metadata"]["uid"], pod["status"]["podIP"]
        host = f"[{address}]" if ":" in address else address
        async with self._gate:
            trainer = await _fetch(session, f"http://{host}:{TRAINER_PORT}/status", NodeReport)
            attestor = None
            if _has_attestor(pod):
                attestor = await _fetch(session, f"http://{host}:{ATTESTOR_PORT}/status", AttestorReport)
        before, now = self._heard.get(node), time.monotonic()
        known = before if before is not None and before.pod == uid else None
        at = now if trainer is not None or known is None else known.at
        if known is not None and now - known.at < STALE_SECONDS:
            trainer, attestor = trainer or known.reports.trainer, attestor or known.reports.attestor
        after = Reports(trainer, attestor)
        same = known is not None and known.reports == after
        interval = min(2 * known.interval, SELDOM * self._seconds) if known and same else self._seconds
        # a little early: the tick that it falls on comes with the pods' own delays
        self._heard[node] = _Heard(uid, at, after, interval, now + interval - self._seconds / 2)
        return not same


async def _fetch(session: aiohttp.ClientSession, url: str, kind: type[R]) -> R | None:
    try:
        async with session.get(url, allow_redirects=False) as response:
            if response.status != 200:
                return None
            data = await response.content.read(MAX_BYTES + 1)
        return _parse(data, kind)
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None


def _parse(data: bytes, kind: type[R]) -> R | None:
    """A report; None if it is too long or not one. Pods run what their users put into them, also later versions."""
    if len(data) > MAX_BYTES:
        return None
    try:
        return kind.model_validate_json(data, extra="ignore")
    except ValidationError:
        return None


def _answers(pod: Object) -> bool:
    labels = pod["metadata"].get("labels") or {}
    status = pod.get("status", {})
    return (
        labels.get(ROLE_LABEL) == HEAD
        and NODE_LABEL in labels
        and "deletionTimestamp" not in pod["metadata"]
        and bool(status.get("podIP"))
        and _any_running(status)
    )


def _any_running(status: Object) -> bool:
    return any("running" in (container.get("state") or {}) for container in container_statuses(status))


def _has_attestor(pod: Object) -> bool:
    """Where there is no chain there is none."""
    return any(container.get("name") == ATTESTOR_CONTAINER for container in container_statuses(pod["status"]))


def _node_of(pod: Object) -> Key:
    return pod["metadata"]["namespace"], pod["metadata"]["labels"][NODE_LABEL]
