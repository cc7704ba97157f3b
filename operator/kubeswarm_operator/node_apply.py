"""Brings a Node's objects to what its spec asks for: at once, or in its turn where that replaces its pods."""

from dataclasses import replace
from datetime import timedelta

from kubeswarm_api.names import HEAD, ROLE_LABEL
from kubeswarm_api.node import Change, NodeSpec
from kubeswarm_api.node_config import ExchangeConfig, NodeConfig, node_config
from kubeswarm_api.spec_life import Update
from kubeswarm_api.swarm import SwarmSpec
from kubeswarm_operator import node_revisions, node_secrets
from kubeswarm_operator.apply import Refused
from kubeswarm_operator.build.meta import Owner
from kubeswarm_operator.build.network_policy import Peers
from kubeswarm_operator.build.objects import objects
from kubeswarm_operator.build.secrets import exchange_secret, identity_secret
from kubeswarm_operator.context import Context
from kubeswarm_operator.decide.ending import exhausted
from kubeswarm_operator.decide.health import problems
from kubeswarm_operator.decide.node_status import NodeFacts, Waits, node_status
from kubeswarm_operator.decide.queueing import waits as waits_in_queue
from kubeswarm_operator.decide.replicas import Replicas
from kubeswarm_operator.decide.rollback import KEPT, begun, judged, on_trial, restored, revision_of
from kubeswarm_operator.decide.stranding import stranded, without_head
from kubeswarm_operator.decide.turns import Member, changes_pods, has_turn, replaces_pods
from kubeswarm_operator.observe import looks
from kubeswarm_operator.observe.parsing import parse_spec
from kubeswarm_operator.observe.snapshot import NodeSnapshot
from kubeswarm_operator.resources import DEPLOYMENTS, PODS, STATEFUL_SETS, Object


async def bring(context: Context, snapshot: NodeSnapshot, spec: NodeSpec, owner: Owner, facts: NodeFacts) -> NodeFacts:
    """Returns the facts with what the Node waits for before its pods may be replaced, and what change is on trial."""
    assert facts.swarm_id is not None and facts.node_id is not None
    exchange = await node_secrets.exchange_credentials(context, owner, spec, facts.swarm_id, facts.node_id)
    token = await node_secrets.ray_token(context, owner)
    manifests = _manifests(context, snapshot, spec, owner, facts, token.uid, exchange)
    update, runs = _update(snapshot), facts.replicas.head > 0
    tried = runs and not waits_in_queue(snapshot)  # the time in a queue says nothing of a change
    broken = exhausted(snapshot, problems(snapshot)) if on_trial(snapshot.status.change) else ""
    change = judged(snapshot.status, revision_of(manifests), update, tried, snapshot.now, broken)
    if change is not None and change.failed:
        earlier = await node_revisions.earlier(context, owner, snapshot.status.revision)
        if earlier is not None:
            await _write(context, snapshot, owner, restored(manifests, earlier, runs), exchange)
            return replace(facts, update=update, change=change)
        change = None
    stale = snapshot.now - token.made > timedelta(days=context.config.ray_token_days)
    replaces = stale or replaces_pods(snapshot.children, manifests)
    if not (replaces or changes_pods(snapshot.children, manifests)):
        await _write(context, snapshot, owner, manifests, exchange)
        return replace(facts, update=update, change=change)
    # One Node at a time decides: the answer to its write is in the store before the next one looks.
    async with context.turns:
        if (
            update
            and replaces
            and not spec.suspend
            and not has_turn(*_members(context, snapshot), update, snapshot.now)
        ):
            await context.applier.apply([each for each in manifests if each["kind"] not in KEPT])
            return replace(facts, waits=Waits.PAUSED if update.paused else Waits.TURN, update=update, change=change)
        if stale:
            token = await node_secrets.ray_token(context, owner, anew=True)
            manifests = _manifests(context, snapshot, spec, owner, facts, token.uid, exchange)
        if update and update.rollback and change is None and (runs or spec.suspend):
            change = begun(revision_of(manifests), runs, snapshot.now)
            change = await _try(context, snapshot, owner, replace(facts, update=update, change=change))
        await _write(context, snapshot, owner, manifests, exchange)
    return replace(facts, update=update, change=change)


async def _try(context: Context, snapshot: NodeSnapshot, owner: Owner, facts: NodeFacts) -> Change | None:
    """Puts the change of `facts` on trial, if there is something to go back to: on record before it begins."""
    assert facts.change is not None
    if facts.change.revision == snapshot.status.revision or not await node_revisions.keep(context, snapshot, owner):
        return None
    known = snapshot.status.revision or revision_of(snapshot.children.values())
    seen = node_status(snapshot, replace(facts, problems=tuple(problems(snapshot)), rolling=True))
    await context.reporter.report(snapshot.live, snapshot.status, seen.model_copy(update={"revision": known}))
    return facts.change


async def _write(
    context: Context, snapshot: NodeSnapshot, owner: Owner, manifests: list[Object], exchange: str | None
) -> None:
    kept = [identity_secret(owner, "", True), *([exchange_secret(owner, "")] if exchange else [])]
    # asked again before it costs a pod: what the watches say may be old
    if stranded(snapshot) and stranded(await looks.afresh(context.kube, snapshot)):
        manifests = [*map(without_head, manifests)]
    refused: Refused | None = None
    try:
        await context.applier.apply(manifests)
    except (
        Refused
    ) as error:  # one object that can't be as it should, such as a claim that can't grow, holds up no other
        refused = error
    await context.applier.prune(snapshot.children, [*manifests, *kept], owner.uid)
    if refused:
        raise refused


def _update(snapshot: NodeSnapshot) -> Update | None:
    """How the Swarm wants changes to spread; None for a Node without one here."""
    if snapshot.swarm is None:
        return None
    spec, _ = parse_spec(SwarmSpec, snapshot.swarm)
    return spec.update if spec else None


def _members(context: Context, snapshot: NodeSnapshot) -> tuple[Member, list[Member]]:
    """The Node, and the others of its Swarm."""
    namespace, name = snapshot.live["metadata"]["namespace"], snapshot.live["metadata"]["name"]
    swarm = snapshot.spec.swarm.name if snapshot.spec else None

    def member(node: Object) -> Member:
        key = (namespace, node["metadata"]["name"])
        workloads = [live for kind in (STATEFUL_SETS, DEPLOYMENTS) for live in context.store.of_node(kind, *key)]
        pods = context.store.of_node(PODS, *key)
        heads = tuple(pod for pod in pods if pod["metadata"]["labels"].get(ROLE_LABEL) == HEAD)
        return Member(node, tuple(workloads), heads)

    nodes = {node["metadata"]["name"]: node for node in context.store.of_swarm(namespace, swarm or "")}
    mine = nodes.pop(name, snapshot.live)
    return member(mine), [member(node) for node in nodes.values()]


def _manifests(
    context: Context,
    snapshot: NodeSnapshot,
    spec: NodeSpec,
    owner: Owner,
    facts: NodeFacts,
    token: str,
    exchange: str | None,
) -> list[Object]:
    if facts.stop_round is not None:  # the trainer finds its rounds done, and the attestor posts what is left
        spec = spec.model_copy(update={"rounds": min(spec.rounds, facts.stop_round)})
    inputs = (snapshot.live["metadata"]["generation"], spec.rounds, owner, facts.swarm_id, facts.node_id)
    signer = node_secrets.signer_port(context, owner)
    return context.built.get(
        owner.uid,
        (*inputs, token, exchange, facts.replicas, signer),
        lambda: objects(
            owner,
            spec,
            _config(context, owner, _with_quota(spec, facts.replicas), facts.swarm_id or "", facts.node_id or ""),
            context.config.images,
            _peers(context, spec, signer),
            facts.replicas,
            (token, facts.node_id or ""),
            exchange,
        ),
    )


def _with_quota(spec: NodeSpec, replicas: Replicas) -> NodeSpec:
    """What the trainer is told: in a queue it goes on with the rollout pods that have quota."""
    if spec.queue is None or not replicas.head:
        return spec
    return spec.model_copy(update={"rollout": spec.rollout.model_copy(update={"workers": replicas.ready})})


def _peers(context: Context, spec: NodeSpec, signer_port: int | None) -> Peers:
    chain = context.config.chain
    environment = spec.environment
    packages = environment.interpreter is not None and environment.interpreter.requirements is not None
    return Peers(
        context.namespace,
        chain.url if chain else None,
        context.exchange.url,
        hub=bool(spec.model.hub) or packages,
        environment_url=environment.open_env.url if environment.open_env else None,
        signer_port=signer_port,
    )


def _config(context: Context, owner: Owner, spec: NodeSpec, swarm: str, node: str) -> NodeConfig:
    url = context.exchange.url
    return node_config(
        spec,
        namespace=owner.namespace,
        name=owner.name,
        swarm=owner.swarm,
        swarm_id=swarm,
        node_id=node,
        chain=context.chain.config,
        exchange=ExchangeConfig(url=url) if url else None,
    )
