"""The attestor's two doors: a Unix socket for the trainer beside it, and HTTP for the operator and Prometheus.

What can be signed through the socket is one type of message, for the attestor's own Swarm and Node. Neither a
transaction nor a registration can be made to look like it, so that a trainer that fell into other hands gains nothing
beyond publishing rollouts.
"""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from pydantic import ValidationError

from kubeswarm_api import metrics as names
from kubeswarm_api.base import Model
from kubeswarm_api.encoding import from_hex, to_hex
from kubeswarm_api.records import Digest
from kubeswarm_contracts import Account, ChainError, SignerUnreachable, domain
from kubeswarm_workers.attest.loop import Attestor
from kubeswarm_workers.attest.messages import (
    MAX_REQUEST_BYTES,
    SignRequest,
    SignResponse,
    State,
    VerifyRequest,
    VerifyResponse,
)
from kubeswarm_workers.attest.verifier import Verifier

#: Requests of the trainer that may wait for the chain, or for an external signer, at a time.
WAITING_THREADS = 3
M = TypeVar("M", bound=Model)


def trainer_app(attestor: Attestor, account: Account, swarm_id: Digest, verifier: Verifier) -> web.Application:
    """What the trainer may ask: /v1/state, /v1/sign, /v1/verify."""
    state = State(node_id=attestor.report.node_id, swarm_id=swarm_id)
    where = domain(attestor.deployment)
    signatures = attestor.metrics.counter(names.SIGNATURES)
    threads = ThreadPoolExecutor(WAITING_THREADS, "trainer")

    async def get_state(_: web.Request) -> web.Response:
        return _answer(state)

    async def sign(request: web.Request) -> web.Response:
        asked = await _parsed(request, SignRequest)
        given = where, swarm_id, state.node_id, asked.round, from_hex(asked.digest)
        try:
            signature = await asyncio.get_running_loop().run_in_executor(threads, account.sign_batch, *given)
        except SignerUnreachable as error:
            raise web.HTTPServiceUnavailable(text=str(error)) from error
        signatures.inc()
        return _answer(SignResponse(signature=to_hex(signature)))

    async def verify(request: web.Request) -> web.Response:
        asked = await _parsed(request, VerifyRequest)
        given = asked.node_id, asked.round, from_hex(asked.digest), from_hex(asked.signature, 65)
        try:
            verdict = await asyncio.get_running_loop().run_in_executor(threads, verifier.verify, *given)
        except ChainError as error:
            raise web.HTTPServiceUnavailable(text=str(error)) from error
        return _answer(VerifyResponse(reason=verdict.reason, message=verdict.message))

    app = web.Application(client_max_size=MAX_REQUEST_BYTES)
    app.add_routes([web.get("/v1/state", get_state), web.post("/v1/sign", sign), web.post("/v1/verify", verify)])
    return app


def status_app(attestor: Attestor) -> web.Application:
    """What anyone in the cluster may read: /status, /metrics, /healthz."""

    async def status(_: web.Request) -> web.Response:
        return _answer(attestor.report)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(attestor.metrics.collectors), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application(client_max_size=MAX_REQUEST_BYTES)
    app.add_routes([web.get("/status", status), web.get("/metrics", metrics), web.get("/healthz", healthz)])
    return app


async def serve(
    trainer: web.Application, status: web.Application, socket: Path, host: str, port: int
) -> list[web.AppRunner]:
    """Opens both doors, the second one on `host` ("" for all interfaces). Raises OSError if one is taken.

    The caller cleans the runners up.
    """
    runners = [web.AppRunner(app, access_log=None) for app in (trainer, status)]
    for runner in runners:
        await runner.setup()
    socket.parent.mkdir(parents=True, exist_ok=True)
    before = os.umask(0o117)  # rw-rw----: the socket is never open to others, not even for an instant
    try:
        await web.UnixSite(runners[0], socket).start()
    finally:
        os.umask(before)
    await web.TCPSite(runners[1], host or None, port).start()
    return runners


async def _parsed(request: web.Request, model: type[M]) -> M:
    try:
        return model.model_validate_json(await request.read(), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise web.HTTPBadRequest(text=f"{where}: {first['msg']}") from error


def _answer(model: Model) -> web.Response:
    return web.json_response(model.to_json())
