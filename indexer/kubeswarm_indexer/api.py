"""The read-only HTTP API, described by the OpenAPI document that it serves at /openapi.json."""

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.exceptions import HTTPException
from fastapi.responses import JSONResponse, PlainTextResponse
from sqlalchemy import Table
from sqlalchemy.exc import SQLAlchemyError

from kubeswarm_api.base import Model
from kubeswarm_api.run_log import (
    DEFAULT_PAGE,
    MAX_PAGE,
    Campaign,
    LogState,
    Membership,
    NodeChange,
    Page,
    Participant,
    Participating,
    Payment,
    PaymentKind,
    Pool,
    Rounds,
    Run,
)
from kubeswarm_contracts.deployments import Deployment
from kubeswarm_indexer import queries, tables
from kubeswarm_indexer.follow import Follower
from kubeswarm_indexer.store import Store
from kubeswarm_indexer.telemetry import Telemetry

M = TypeVar("M", bound=Model)
DIGEST = r"^0x[0-9a-f]{64}$"
ADDRESS = r"^0x[0-9a-f]{40}$"
#: Cursors of lists in the chain's order: digits of at most 63 bits.
PLACE = r"^[0-9]{1,18}$"
MAX_ROUND = 2**63 - 1


class Failure(Model):
    """Why there is no answer."""

    detail: str


class Misfit(Model):
    """Which parameter is wrong, and why."""

    detail: list[dict[str, Any]]


NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": Failure, "description": "There is no such thing."}}
#: Any request may be misformed, or meet a database that does not answer.
COMMON: dict[int | str, dict[str, Any]] = {
    422: {"model": Misfit, "description": "A parameter is wrong."},
    503: {"model": Failure, "description": "The database does not answer: try again."},
}

SwarmId = Annotated[str, Path(pattern=DIGEST, description="A Swarm's id.")]
NodeId = Annotated[str, Path(pattern=ADDRESS, description="A Node's id.")]
Uid = Annotated[str, Path(pattern=DIGEST, description="An attestation's uid.")]
PoolId = Annotated[str, Path(pattern=DIGEST, description="A pool's id.")]
CampaignId = Annotated[str, Path(pattern=DIGEST, description="A campaign's id.")]
After = Annotated[str | None, Query(pattern=PLACE, description="Behind this item's cursor.")]
AfterNode = Annotated[str | None, Query(pattern=ADDRESS, description="Behind this Node.")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Items of a page.")]
OfSwarm = Annotated[str | None, Query(alias="swarmId", pattern=DIGEST, description="Of this Swarm.")]
OfNode = Annotated[str | None, Query(alias="nodeId", pattern=ADDRESS, description="Of this Node.")]
OfAccount = Annotated[str | None, Query(pattern=ADDRESS, description="Of this account.")]
OfOwner = Annotated[str | None, Query(pattern=ADDRESS, description="Owned by this account.")]


def create(store: Store, follower: Follower, deployment: Deployment, telemetry: Telemetry) -> FastAPI:
    """The application."""
    app = FastAPI(
        title="KubeSwarm: the log of decentralised runs",
        version="1",
        description="Read-only. Lists are paged: give an item's `cursor`, or the page's `next`, as `after`.",
        docs_url=None,
        redoc_url=None,
        responses=COMMON,
    )
    _operations(app, store, follower, telemetry)
    _log(app, store, follower, deployment)
    _runs(app, store)
    _nodes(app, store)
    _money(app, store)

    @app.exception_handler(SQLAlchemyError)
    async def unavailable(_: Request, error: Exception) -> JSONResponse:
        telemetry.failed(type(error).__name__)
        return JSONResponse({"detail": "the database does not answer: try again"}, 503)

    @app.middleware("http")
    async def measure(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        started = time.monotonic()
        response = await call_next(request)
        route = getattr(request.scope.get("route"), "path", "none")
        telemetry.answered(route, response.status_code, time.monotonic() - started)
        return response

    return app


def _operations(app: FastAPI, store: Store, follower: Follower, telemetry: Telemetry) -> None:
    @app.get("/healthz", include_in_schema=False)
    def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @app.get("/readyz", include_in_schema=False)
    def readyz() -> PlainTextResponse:
        """Ready once the log was complete: an old log is better than none when the chain is away."""
        if not follower.synced.is_set():
            return PlainTextResponse("the log is being read from the chain\n", 503)
        store.head()
        return PlainTextResponse("ok\n")

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(telemetry.page(), media_type="text/plain; version=0.0.4")


def _log(app: FastAPI, store: Store, follower: Follower, deployment: Deployment) -> None:
    where = deployment.model_dump(include=LogState.model_fields.keys() & Deployment.model_fields.keys())

    @app.get("/v1/log")
    def log() -> LogState:
        """Which chain this is of, and how far."""
        now, latest = store.head(), follower.latest
        behind = None if latest is None else max(0, latest - (now.number if now else deployment.block - 1))
        return LogState(**where, first_block=deployment.block, head=now, behind=behind)


def _runs(app: FastAPI, store: Store) -> None:
    @app.get("/v1/runs")
    def runs(owner: OfOwner = None, after: After = None, limit: Limit = DEFAULT_PAGE) -> Page[Run]:
        """Decentralised runs: the Swarms of the chain."""
        return _page(store, tables.swarms, queries.run, after, limit, owner=owner)

    @app.get("/v1/runs/{swarmId}", responses=NOT_FOUND)
    def run(swarmId: SwarmId) -> Run:
        """One run."""
        return _one(store, tables.swarms, queries.run, swarm_id=swarmId)

    @app.get("/v1/runs/{swarmId}/nodes")
    def run_nodes(swarmId: SwarmId, after: AfterNode = None, limit: Limit = DEFAULT_PAGE) -> Page[Participant]:
        """A run's Nodes, those that left included."""
        with store.read() as connection:
            return queries.participants(connection, swarmId, after, limit)

    @app.get("/v1/runs/{swarmId}/nodes/{nodeId}", responses=NOT_FOUND)
    def run_node(swarmId: SwarmId, nodeId: NodeId) -> Participant:
        """One Node in a run."""
        return _one(store, tables.memberships, queries.participant, swarm_id=swarmId, node_id=nodeId)

    @app.get("/v1/runs/{swarmId}/memberships")
    def memberships(
        swarmId: SwarmId, nodeId: OfNode = None, after: After = None, limit: Limit = DEFAULT_PAGE
    ) -> Page[Membership]:
        """Who was invited, joined, left and was ejected, and when."""
        where = {"swarm_id": swarmId, "node_id": nodeId}
        return _page(store, tables.memberships, queries.membership, after, limit, **where)

    @app.get("/v1/rounds")
    def rounds(
        swarmId: OfSwarm = None,
        nodeId: OfNode = None,
        model: Annotated[str | None, Query(pattern=DIGEST, description="That ended with this model.")] = None,
        round: Annotated[int | None, Query(ge=1, le=MAX_ROUND, description="That hold this round.")] = None,
        after: After = None,
        limit: Limit = DEFAULT_PAGE,
    ) -> Page[Rounds]:
        """Attested rounds: one item an attestation."""
        where = {"swarm_id": swarmId, "node_id": nodeId, "model": model}
        where |= {"round": None if round is None else queries.holds_round(round)}
        return _page(store, tables.attestations, queries.rounds, after, limit, **where)

    @app.get("/v1/rounds/{uid}", responses=NOT_FOUND)
    def attestation(uid: Uid) -> Rounds:
        """The rounds of one attestation."""
        return _one(store, tables.attestations, queries.rounds, uid=uid)


def _nodes(app: FastAPI, store: Store) -> None:
    @app.get("/v1/nodes")
    def nodes(owner: OfOwner = None, after: After = None, limit: Limit = DEFAULT_PAGE) -> Page[Participating]:
        """All Nodes that were ever registered."""
        held = None if owner is None else queries.owned_by(owner)
        return _page(store, tables.nodes, queries.node, after, limit, owner=held)

    @app.get("/v1/nodes/{nodeId}", responses=NOT_FOUND)
    def node(nodeId: NodeId) -> Participating:
        """One Node."""
        return _one(store, tables.nodes, queries.node, node_id=nodeId)

    @app.get("/v1/nodes/{nodeId}/changes")
    def node_changes(nodeId: NodeId, after: After = None, limit: Limit = DEFAULT_PAGE) -> Page[NodeChange]:
        """Its keys, owners, registration files and metadata over time."""
        return _page(store, tables.node_changes, queries.node_change, after, limit, node_id=nodeId)


def _money(app: FastAPI, store: Store) -> None:
    @app.get("/v1/pools")
    def pools(swarmId: OfSwarm = None, after: After = None, limit: Limit = DEFAULT_PAGE) -> Page[Pool]:
        """Pools that pay for attested rounds."""
        return _page(store, tables.pools, queries.pool, after, limit, swarm_id=swarmId)

    @app.get("/v1/pools/{poolId}", responses=NOT_FOUND)
    def pool(poolId: PoolId) -> Pool:
        """One pool."""
        return _one(store, tables.pools, queries.pool, pool_id=poolId)

    @app.get("/v1/campaigns")
    def campaigns(swarmId: OfSwarm = None, after: After = None, limit: Limit = DEFAULT_PAGE) -> Page[Campaign]:
        """Crowdfunding campaigns."""
        return _page(store, tables.campaigns, queries.campaign, after, limit, swarm_id=swarmId)

    @app.get("/v1/campaigns/{campaignId}", responses=NOT_FOUND)
    def campaign(campaignId: CampaignId) -> Campaign:
        """One campaign."""
        return _one(store, tables.campaigns, queries.campaign, campaign_id=campaignId)

    @app.get("/v1/payments")
    def payments(
        swarmId: OfSwarm = None,
        nodeId: OfNode = None,
        account: OfAccount = None,
        fund: Annotated[str | None, Query(pattern=DIGEST, description="Of this pool or campaign.")] = None,
        kind: Annotated[PaymentKind | None, Query(description="Of this kind.")] = None,
        after: After = None,
        limit: Limit = DEFAULT_PAGE,
    ) -> Page[Payment]:
        """Money that came into pools and campaigns, was earned, released, given back and fetched."""
        where = {"swarm_id": swarmId, "node_id": nodeId, "account": account, "fund": fund, "kind": kind}
        return _page(store, tables.payments, queries.payment, after, limit, **where)


def _page(store: Store, table: Table, make: queries.Make[M], after: str | None, limit: int, **where: Any) -> Page[M]:
    """A page of the table's facts with these values; None: any value."""
    with store.read() as connection:
        return queries.page(connection, table, make, after, limit, where)


def _one(store: Store, table: Table, make: queries.Make[M], **key: Any) -> M:
    """The last fact with these values. Raises HTTPException where there is none."""
    with store.read() as connection:
        found = queries.one(connection, table, make, **key)
    if found is None:
        raise HTTPException(404, "there is no such thing in the log: look at its head in /v1/log")
    return found
