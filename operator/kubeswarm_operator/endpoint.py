"""The operator's HTTP endpoint: /metrics, /healthz, /readyz."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from kubeswarm_operator import telemetry

#: A watch that was neither opened again nor heard of for so long is broken: kopf reopens silent ones after 70 seconds.
STALE_WATCH_SECONDS = 200.0


async def serve(refresh: Callable[[], None], waits: Callable[[], str], port: int) -> web.AppRunner:
    """Starts serving. `refresh` brings computed gauges up to date before each scrape; `waits`: what for, or nothing."""

    async def metrics(_request: web.Request) -> web.Response:
        refresh()
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def alive(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_request: web.Request) -> web.Response:
        if waits():
            return web.Response(status=503, text=f"{waits()}\n")
        stale = telemetry.stale_watches(STALE_WATCH_SECONDS)
        if stale:
            return web.Response(status=503, text=f"no sign of the watches of {', '.join(stale)}\n")
        return web.Response(text="ok\n")

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/healthz", alive), web.get("/readyz", ready)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, None, port).start()
    return runner
