"""The operator's life: connect, wait for the resources to be served, watch, lead, work, end."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from kubeswarm_api.conditions import ConditionType
from kubeswarm_api.errors import KubeSwarmError
from kubeswarm_api.operator_config import OperatorConfig
from kubeswarm_operator import endpoint, telemetry
from kubeswarm_operator.apply import Applier
from kubeswarm_operator.chain import ChainView
from kubeswarm_operator.context import Context
from kubeswarm_operator.definitions import Definitions
from kubeswarm_operator.exchange_link import ExchangeLink
from kubeswarm_operator.feed import Feed
from kubeswarm_operator.kube import Kube, NotLeader, connect
from kubeswarm_operator.lease import Lease
from kubeswarm_operator.main import registrations, watch
from kubeswarm_operator.node_pass import node_pass
from kubeswarm_operator.observe.reports import ReportPoller
from kubeswarm_operator.observe.store import Key, Store
from kubeswarm_operator.observe.targets import chain_targets, swarm_ids
from kubeswarm_operator.queue import WorkQueue
from kubeswarm_operator.report import Reporter
from kubeswarm_operator.resources import NODES, SWARMS
from kubeswarm_operator.settings import identity, own_namespace, port
from kubeswarm_operator.spending import Spending
from kubeswarm_operator.swarm_pass import swarm_pass

log = logging.getLogger(__name__)
#: Seconds that the first passes wait for what is around; and between attempts to make the exchange's Secret.
KNOW_SECONDS, PREPARE_SECONDS = 3.0, 5.0


async def run(config: OperatorConfig) -> int:
    """Runs until a signal (returns 0) or the loss of the Lease (returns 1)."""
    namespace = own_namespace()
    lease = Lease(config.lease, namespace, identity())
    async with connect(lease.write_seconds) as kube:
        context, feed = _assemble(config, namespace, kube, lease)
        definitions = Definitions()
        runner = await endpoint.serve(lambda: _refresh(context), lambda: definitions.problem, port())
        try:
            await definitions.wait(kube)
            return await _run(context, feed, lease)
        finally:
            await lease.release(kube)
            await runner.cleanup()


def _assemble(config: OperatorConfig, namespace: str, kube: Kube, lease: Lease) -> tuple[Context, Feed]:
    store = Store()
    swarm_queue: WorkQueue[Key] = WorkQueue()
    node_queue: WorkQueue[Key] = WorkQueue()
    chain = ChainView(
        config.chain,
        config.indexer,
        lambda: chain_targets(store, context.chain.facts),
        lambda before, after: feed.chain_changed(before, after),
        lease.write_seconds,
        Spending(kube, namespace, f"{config.lease.name}-funding"),
    )
    context = Context(
        config=config,
        namespace=namespace,
        kube=kube,
        store=store,
        applier=Applier(kube, store),
        reporter=Reporter(kube, store),
        reports=ReportPoller(store, config.status_poll_seconds, lambda key: feed.node_changed(key)),
        chain=chain,
        exchange=ExchangeLink(
            config.exchange, namespace, lambda: swarm_ids(store, chain.facts), lambda: feed.all_changed()
        ),
        swarm_queue=swarm_queue,
        node_queue=node_queue,
    )
    feed = Feed(store, swarm_queue, node_queue, config.namespaces)
    return context, feed


async def _run(context: Context, feed: Feed, lease: Lease) -> int:
    stop = asyncio.Event()
    leading = asyncio.create_task(_lead(context, lease, feed), name="lead")
    holding = asyncio.create_task(lease.keep(context.kube), name="lease")
    watching = asyncio.create_task(watch(registrations(feed), context.config, stop), name="kopf")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait([leading, holding, watching, stopping], return_when=asyncio.FIRST_COMPLETED)
    lost = holding.done()
    for task in (leading, holding, watching, stopping):
        task.cancel()
    results = await asyncio.gather(leading, holding, watching, stopping, return_exceptions=True)
    failures = [result for result in results if isinstance(result, Exception)]
    for failure in failures:
        log.error("the operator ends by an error", exc_info=failure)
    return 1 if lost or failures else 0


async def _lead(context: Context, lease: Lease, feed: Feed) -> None:
    """Everything that writes, once this replica leads and knows what there is."""
    await lease.held()
    async with asyncio.TaskGroup() as group:
        prepared = asyncio.Event()
        group.create_task(_exchange(context, prepared))
        group.create_task(context.chain.poll())
        await feed.complete.wait()
        log.info("all resources are listed")
        group.create_task(context.reports.poll())
        # Passes that know all there is to know write nothing at a restart. But nobody is waited for without end.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KNOW_SECONDS):
                for known in (prepared, context.chain.first, context.reports.first):
                    await known.wait()
        for _ in range(context.config.workers):
            group.create_task(context.swarm_queue.work(_pass(context, "Swarm", swarm_pass)))
            group.create_task(context.node_queue.work(_pass(context, "Node", node_pass)))


async def _exchange(context: Context, prepared: asyncio.Event) -> None:
    while not prepared.is_set():
        try:
            await context.exchange.prepare(context.kube)
            prepared.set()
        except KubeSwarmError as error:
            log.warning("the exchange's Secret is not ready", extra={"detail": str(error)[:300]})
            await asyncio.sleep(PREPARE_SECONDS)
    await context.exchange.poll()


def _pass(
    context: Context, kind: str, one: Callable[[Context, Key], Awaitable[float | None]]
) -> Callable[[Key], Awaitable[tuple[bool, float | None]]]:
    async def run_pass(key: Key) -> tuple[bool, float | None]:
        started, result, again = time.monotonic(), "ok", None
        try:
            again = await one(context, key)
        except NotLeader:
            result = "not_leader"
        except KubeSwarmError as error:
            result = "error"
            log.warning("a pass failed", extra={"kind": kind, "key": "/".join(key), "detail": str(error)[:500]})
        except Exception:  # a mistake of ours must not end the operator: it is logged whole, and tried again later
            result = "bug"
            log.exception("a pass failed unexpectedly", extra={"kind": kind, "key": "/".join(key)})
        telemetry.RECONCILES.labels(kind, result).inc()
        telemetry.RECONCILE_SECONDS.labels(kind).observe(time.monotonic() - started)
        return result == "ok", again

    return run_pass


def _refresh(context: Context) -> None:
    """Gauges that are computed when they are asked for."""
    telemetry.QUEUE_DEPTH.labels("Swarm").set(context.swarm_queue.depth())
    telemetry.QUEUE_DEPTH.labels("Node").set(context.node_queue.depth())
    for resource, gauge in ((SWARMS, telemetry.SWARMS), (NODES, telemetry.NODES)):
        ready = {"True": 0, "False": 0, "Unknown": 0}
        for body in context.store.all(resource):
            conditions = (body.get("status") or {}).get("conditions") or []
            status = next((c["status"] for c in conditions if c["type"] == ConditionType.READY), "Unknown")
            ready[status] += 1
        for status, count in ready.items():
            gauge.labels(status).set(count)
