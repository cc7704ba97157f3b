"""How often pods are asked, on a real HTTP server."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from kubeswarm_api.names import ATTESTOR_PORT, HEAD, NODE_LABEL, ROLE_LABEL, TRAINER_PORT
from kubeswarm_api.reports import AttestorReport, NodeReport, Phase
from kubeswarm_operator.observe.reports import SELDOM, ReportPoller
from kubeswarm_operator.observe.store import Key, Store
from kubeswarm_operator.resources import PODS

ADDRESS = "127.0.8.7"
NODE = ("ns", "light-0")


class Trainer:
    """A trainer's /status; `asked` counts."""

    def __init__(self) -> None:
        self.report = NodeReport(phase=Phase.TRAINING, round=1)
        self.asked = 0
        self.connections: set[object] = set()

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        self.connections.add(request.transport)
        return web.Response(text=self.report.model_dump_json(by_alias=True))


@pytest.fixture
async def trainer() -> AsyncIterator[Trainer]:
    trainer = Trainer()
    app = web.Application()
    app.add_routes([web.get("/status", trainer.answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, ADDRESS, TRAINER_PORT).start()
    yield trainer
    await runner.cleanup()


LABELS = {ROLE_LABEL: HEAD, NODE_LABEL: NODE[1]}
POD = {
    "metadata": {"namespace": NODE[0], "name": "p", "uid": "u", "resourceVersion": "1", "labels": LABELS},
    "status": {"podIP": ADDRESS, "containerStatuses": [{"state": {"running": {}}}]},
}


async def test_a_pod_that_was_never_asked_is_asked_at_once_and_then_in_its_turn(trainer: Trainer) -> None:
    """So that the first status that says Ready has the trainer's numbers too, and no second write follows it."""
    store, changed = Store(), asyncio.Queue[Key]()
    poller = ReportPoller(store, 600, changed.put_nowait)
    polling = asyncio.create_task(poller.poll())
    try:
        await poller.first.wait()
        store.put(PODS, POD)
        for _ in range(2):
            await poller.first_word(POD)
        heard = poller.reports(NODE, "u").trainer
        assert heard is not None and heard.round == 1
        assert trainer.asked == 1
        assert changed.empty(), "who asks needs no telling"
    finally:
        polling.cancel()


async def test_who_says_the_same_is_asked_more_seldom_and_news_is_heard(trainer: Trainer) -> None:
    store, changed = Store(), asyncio.Queue[Key]()
    store.put(PODS, POD)
    poller = ReportPoller(store, 0.05, changed.put_nowait)
    polling = asyncio.create_task(poller.poll())
    try:
        await asyncio.sleep(2.0)
        assert (changed.get_nowait(), changed.empty()) == (NODE, True)
        asked = trainer.asked
        assert asked <= 2.0 / 0.05 / SELDOM + 4, "a quarter of the ticks, once it has said the same a few times"
        assert asked >= 3
        assert len(trainer.connections) == 1, "kept until it is asked again"
        trainer.report = trainer.report.model_copy(update={"round": 2})
        assert await asyncio.wait_for(changed.get(), 5) == NODE
        heard = poller.reports(NODE, "u").trainer
        assert heard is not None and heard.round == 2
    finally:
        polling.cancel()


async def test_a_report_of_a_later_version_is_read_as_far_as_it_is_known(trainer: Trainer) -> None:
    class Later(NodeReport):
        invented: str = "later"

    trainer.report = Later(phase=Phase.TRAINING, round=7)
    store = Store()
    poller = ReportPoller(store, 600, lambda _: None)
    polling = asyncio.create_task(poller.poll())
    try:
        await poller.first.wait()
        store.put(PODS, POD)
        await poller.first_word(POD)
        heard = poller.reports(NODE, "u").trainer
        assert heard is not None and heard.round == 7
    finally:
        polling.cancel()


async def test_an_attestor_is_asked_where_the_pod_has_one() -> None:
    asked: list[int] = []

    def counting(port: int) -> web.Application:
        async def answer(_request: web.Request) -> web.Response:
            asked.append(port)
            return web.Response(
                text=AttestorReport(node_id="0x1", address="0x1", attested_rounds=3).model_dump_json(by_alias=True)
            )

        app = web.Application()
        app.add_routes([web.get("/status", answer)])
        return app

    runners = {port: web.AppRunner(counting(port)) for port in (TRAINER_PORT, ATTESTOR_PORT)}
    for port, runner in runners.items():
        await runner.setup()
        await web.TCPSite(runner, ADDRESS, port).start()
    poller = ReportPoller(Store(), 600, lambda _: None)
    polling = asyncio.create_task(poller.poll())
    try:
        await poller.first.wait()
        await poller.first_word(POD)
        assert asked == [TRAINER_PORT]
        status = POD["status"] | {"initContainerStatuses": [{"name": "attestor", "state": {"running": {}}}]}
        await poller.first_word({"metadata": POD["metadata"] | {"uid": "another"}, "status": status})
        assert asked == [TRAINER_PORT, TRAINER_PORT, ATTESTOR_PORT]
        attestor = poller.reports(NODE, "another").attestor
        assert attestor is not None and attestor.attested_rounds == 3
    finally:
        polling.cancel()
        for runner in runners.values():
            await runner.cleanup()
