"""One pass over one Swarm: its Nodes, its stream on the exchange, its status."""

import logging
from dataclasses import replace
from datetime import UTC, datetime

from kubeswarm_api.conditions import ConditionType
from kubeswarm_api.names import budget_name, node_name
from kubeswarm_api.swarm import SwarmSpec, SwarmStatus
from kubeswarm_operator.apply import Refused
from kubeswarm_operator.build.disruption_budget import disruption_budget
from kubeswarm_operator.build.meta import Owner
from kubeswarm_operator.build.node import node
from kubeswarm_operator.context import Context
from kubeswarm_operator.decide.announcements import Announcement
from kubeswarm_operator.decide.children import controls, stamped
from kubeswarm_operator.decide.conditions import holds
from kubeswarm_operator.decide.expiry import expires_in
from kubeswarm_operator.decide.health import Problem
from kubeswarm_operator.decide.identity import swarm_id
from kubeswarm_operator.decide.scale import workers
from kubeswarm_operator.decide.swarm_nodes import SwarmNodes, swarm_nodes
from kubeswarm_operator.decide.swarm_status import swarm_status
from kubeswarm_operator.exchange import ExchangeUnavailable
from kubeswarm_operator.observe.parsing import parse_spec, parse_status
from kubeswarm_operator.observe.snapshot import SwarmSnapshot
from kubeswarm_operator.observe.store import Key
from kubeswarm_operator.resources import DISRUPTION_BUDGETS, NODES, SWARMS, Object

log = logging.getLogger(__name__)
#: Held by a Swarm that may have a stream on the exchange, until that is deleted.
STREAM_FINALIZER = "kubeswarm.dev/exchange-stream"
#: Seconds after its deletion when a Swarm is let go although its stream could not be deleted: streams age out.
STREAM_PATIENCE = 20.0
RESYNC, LOOK_AGAIN, LOOK_SOON, RETRY_REFUSED = 600.0, 5.0, 1.0, 30.0


async def swarm_pass(context: Context, key: Key) -> float | None:
    """Returns seconds to the next look; None if the Swarm is gone."""
    live = context.store.get(SWARMS, *key)
    if live is None:
        context.swarm_queue.forget(key)
        context.reporter.forget(SWARMS, key)
        return None
    snapshot = _observe(context, live)
    meta = live["metadata"]
    identity = swarm_id(meta["uid"], context.chain.facts.owner, snapshot.status.swarm_id)
    if "deletionTimestamp" in meta:
        return await _delete(context, snapshot, identity)
    plan = swarm_nodes(snapshot)
    refused: Problem | None = None
    if snapshot.spec is not None:
        await _hold(context, live)
        owner = Owner(meta["namespace"], meta["name"], meta["uid"])
        try:
            await context.applier.apply(_manifests(context, owner, snapshot, plan))
        except Refused as error:
            refused = error.problem
        for surplus in _surplus(context, plan, owner, snapshot.spec):
            await context.applier.delete(surplus)
        # What was decided is about the spec of the pass's beginning, and so is what is said of it.
        seen = _observe(context, context.store.get(SWARMS, *key) or live)
        snapshot = replace(seen, live=live, spec=snapshot.spec)
    status = swarm_status(snapshot, identity, swarm_nodes(snapshot), refused)
    if holds(ConditionType.READY, status.conditions) and context.store.may_be_old(NODES):  # as of a Node's pods
        return LOOK_SOON
    again = await context.reporter.report(snapshot.live, snapshot.status, status)
    ttl = snapshot.spec.ttl_seconds_after_finished if snapshot.spec else None
    left = expires_in(ttl, status.conditions, snapshot.now)
    if left is not None and left <= 0 and again is None:
        await context.applier.delete(snapshot.live)
    times = (again, left, RETRY_REFUSED if refused else RESYNC)
    return min(each for each in times if each is not None and each > 0)


def _observe(context: Context, live: Object) -> SwarmSnapshot:
    meta = live["metadata"]
    spec, invalid = parse_spec(SwarmSpec, live)
    labelled = context.store.of_swarm(meta["namespace"], meta["name"])
    names = [node_name(meta["name"], index) for index in range(spec.nodes if spec else 0)]
    others = (context.store.get(NODES, meta["namespace"], name) for name in names)
    taken = frozenset(other["metadata"]["name"] for other in others if other and not controls(meta["uid"], other))
    return SwarmSnapshot(
        live=live,
        spec=spec,
        invalid=invalid,
        status=parse_status(SwarmStatus, live),
        nodes=tuple(labelled),
        taken=taken,
        chain=context.chain.facts,
        exchange=context.exchange.facts,
        now=datetime.now(UTC),
    )


def _manifests(context: Context, owner: Owner, snapshot: SwarmSnapshot, plan: SwarmNodes) -> list[Object]:
    spec = snapshot.spec
    assert spec is not None
    live = {each["metadata"]["name"]: each for each in snapshot.nodes}
    scales = tuple(workers(spec.rollout, live.get(node_name(owner.name, index))) for index in plan.indices)
    inputs = (snapshot.live["metadata"]["generation"], owner, plan.indices, scales)
    return context.built.get(
        owner.uid,
        inputs,
        lambda: [
            stamped(each)
            for each in (
                *(node(owner, spec, index, scale) for index, scale in zip(plan.indices, scales, strict=True)),
                *([disruption_budget(owner)] if spec.nodes > 1 else []),
            )
        ],
    )


def _surplus(context: Context, plan: SwarmNodes, owner: Owner, spec: SwarmSpec) -> list[Object]:
    """What the Swarm has and no longer wants."""
    budget = context.store.get(DISRUPTION_BUDGETS, owner.namespace, budget_name(owner.name))
    unwanted = budget is not None and spec.nodes <= 1 and controls(owner.uid, budget)
    found = [*plan.surplus, *([budget] if budget and unwanted else [])]
    return [each for each in found if "deletionTimestamp" not in each["metadata"]]


async def _hold(context: Context, live: Object) -> None:
    """Puts our finalizer on a Swarm that is about to have a stream."""
    finalizers = live["metadata"].get("finalizers") or []
    if context.exchange.url is not None and STREAM_FINALIZER not in finalizers:
        await _set_finalizers(context, live, [*finalizers, STREAM_FINALIZER])


async def _set_finalizers(context: Context, live: Object, finalizers: list[str]) -> None:
    meta = live["metadata"]
    # the version makes it fail, rather than lose what another writer has put there meanwhile
    patch = {"metadata": {"finalizers": finalizers or None, "resourceVersion": meta["resourceVersion"]}}
    answer = await context.kube.merge(SWARMS, meta["namespace"], meta["name"], patch)
    if answer.get("kind") == SWARMS.kind:
        context.store.put(SWARMS, answer)


async def _delete(context: Context, snapshot: SwarmSnapshot, identity: str) -> float:
    """Nodes first, then the stream that they write to, then the Swarm itself. It always ends."""
    meta = snapshot.live["metadata"]
    finalizers = meta.get("finalizers") or []
    if STREAM_FINALIZER not in finalizers:
        return RESYNC
    mine = [each for each in snapshot.nodes if controls(meta["uid"], each)]
    for each in mine:
        if "deletionTimestamp" not in each["metadata"]:
            await context.applier.delete(each)
    age = (snapshot.now - datetime.fromisoformat(meta["deletionTimestamp"])).total_seconds()
    if (
        any(context.store.get(NODES, meta["namespace"], each["metadata"]["name"]) for each in mine)
        and age < STREAM_PATIENCE
    ):
        return LOOK_AGAIN
    try:
        await context.exchange.drop(identity)
    except ExchangeUnavailable as error:
        if age < STREAM_PATIENCE:
            log.warning("the stream was not deleted yet", extra={"swarm": meta["name"], "detail": str(error)[:300]})
            return LOOK_AGAIN
        message = f"the Swarm's stream on the exchange was not deleted ({error}); its messages age out by themselves"
        await context.reporter.announce(snapshot.live, Announcement("Warning", "StreamLeft", message))
    await _set_finalizers(context, snapshot.live, [each for each in finalizers if each != STREAM_FINALIZER])
    return RESYNC
