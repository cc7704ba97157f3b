"""What stands for all trainers and attestors: answers /status and /healthz on any address, as a training Node does."""

import asyncio

from aiohttp import web

from kubeswarm_api.names import ATTESTOR_PORT, TRAINER_PORT
from kubeswarm_api.reports import AttestorReport, NodeReport, Phase

REPORTS = {
    TRAINER_PORT: NodeReport(phase=Phase.TRAINING, round=1, rounds=100),
    ATTESTOR_PORT: AttestorReport(node_id="0x" + "1" * 40, address="0x" + "1" * 40),
}


async def main() -> None:
    """Serves for ever."""
    for port, report in REPORTS.items():
        text = report.model_dump_json(by_alias=True)

        async def answer(_request: web.Request, text: str = text) -> web.Response:
            return web.Response(text=text, content_type="application/json")

        app = web.Application()
        app.add_routes([web.get("/status", answer), web.get("/healthz", answer)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
