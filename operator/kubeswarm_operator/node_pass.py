"""One pass over one Node: observe, decide, build, apply, report."""

from dataclasses import replace
from datetime import UTC, datetime

from kubeswarm_api.names import HEAD, ROLE_LABEL
from kubeswarm_api.node import NodeSpec, NodeStatus
from kubeswarm_api.node_config import ExchangeConfig, NodeConfig, node_config
from kubeswarm_operator import node_secrets
from kubeswarm_operator.apply import Refused
from kubeswarm_operator.build.meta import Owner
from kubeswarm_operator.build.network_policy import Peers
from kubeswarm_operator.build.objects import objects
from kubeswarm_operator.build.secrets import exchange_secret, identity_secret
from kubeswarm_operator.context import Context
from kubeswarm_operator.decide import ending
from kubeswarm_operator.decide.completion import progress
from kubeswarm_operator.decide.expiry import expires_in
from kubeswarm_operator.decide.health import Problem, pod_ready, problems
from kubeswarm_operator.decide.identity import swarm_id
from kubeswarm_operator.decide.node_status import NodeFacts, node_status
from kubeswarm_operator.decide.replicas import Replicas, replicas
from kubeswarm_operator.decide.rolling import rolling
from kubeswarm_operator.observe import looks
from kubeswarm_operator.observe.parsing import parse_spec, parse_status
from kubeswarm_operator.observe.snapshot import NodeSnapshot, Reports
from kubeswarm_operator.observe.store import Key
from kubeswarm_operator.resources import CHILDREN, NODES, PODS, SWARMS, Object

#: Seconds until a Node that isn't as it should be is looked at again without an event, and until one that is, is.
LOOK_AGAIN, RESYNC = 5.0, 600.0


async def node_pass(context: Context, key: Key) -> float | None:
    """Returns seconds to the next look; None if the Node is gone."""
    live = context.store.get(NODES, *key)
    if live is None:
        context.node_queue.forget(key)
        context.reporter.forget(NODES, key)
        return None
    if "deletionTimestamp" in live["metadata"]:
        return RESYNC
    snapshot = _observe(context, live)
    if snapshot.spec is None:
        again = await context.reporter.report(live, snapshot.status, node_status(snapshot, _nothing(snapshot)))
        return again or RESYNC
    owner = _owner(snapshot, snapshot.spec)
    swarm = _swarm_id(context, snapshot, snapshot.spec)
    refused: Problem | None = None
    node: str | None = None
    facts = _nothing(snapshot)
    if swarm is not None:
        try:
            node = await node_secrets.identity(context, owner, snapshot.spec)
            facts = _decide(snapshot, snapshot.spec, swarm, node)
            await _apply(context, snapshot, snapshot.spec, owner, facts)
        except Refused as error:
            refused = error.problem
    snapshot = await _look_closer(context, _observe(context, live), snapshot.spec, swarm, facts.replicas)
    found = tuple(problems(snapshot))
    facts = replace(facts, problems=(refused, *found) if refused else found, rolling=rolling(snapshot))
    status = node_status(snapshot, facts)
    again = await context.reporter.report(live, snapshot.status, status)
    left = expires_in(_ttl(snapshot), status.conditions, snapshot.now)
    if left is not None and left <= 0 and again is None:
        await context.applier.delete(live)
    settled = not facts.problems and not facts.rolling and _all_ready(snapshot, facts.replicas)
    times = (again, RESYNC if settled else LOOK_AGAIN, ending.seconds_left(snapshot), left)
    return min(each for each in times if each is not None and each > 0)


def _ttl(snapshot: NodeSnapshot) -> int | None:
    """A Swarm's own Nodes go with it, never before: it would make them again."""
    owned = any(reference.get("controller") for reference in snapshot.live["metadata"].get("ownerReferences") or [])
    return None if owned or snapshot.spec is None else snapshot.spec.ttl_seconds_after_finished


def _decide(snapshot: NodeSnapshot, spec: NodeSpec, swarm: str, node: str) -> NodeFacts:
    """How far the Node is, and how many pods it should have."""
    stop = ending.stop_round(snapshot)
    done = progress(snapshot, swarm, node, stop)
    failed = ending.failure(snapshot, done.complete, problems(snapshot))
    wanted = replicas(spec, done.complete or failed is not None)
    return NodeFacts(swarm, node, done, wanted, (), False, stop, failed)


def _observe(context: Context, live: Object) -> NodeSnapshot:
    meta = live["metadata"]
    namespace, name = meta["namespace"], meta["name"]
    spec, invalid = parse_spec(NodeSpec, live)
    swarm = context.store.get(SWARMS, namespace, spec.swarm.name) if spec and spec.swarm.name else None
    children = {
        (resource.kind, child["metadata"]["name"]): child
        for resource in CHILDREN
        for child in context.store.of_node(resource, namespace, name)
    }
    pods = tuple(sorted(context.store.of_node(PODS, namespace, name), key=lambda pod: pod["metadata"]["name"]))
    head = next((pod["metadata"]["uid"] for pod in pods if pod["metadata"]["labels"].get(ROLE_LABEL) == HEAD), None)
    return NodeSnapshot(
        live=live,
        spec=spec,
        invalid=invalid,
        status=parse_status(NodeStatus, live),
        swarm=swarm,
        children=children,
        pods=pods,
        reports=context.reports.reports((namespace, name), head) if head else Reports(),
        missing=(),
        refusals=(),
        stuck=(),
        chain=context.chain.facts,
        exchange=context.exchange.facts,
        now=datetime.now(UTC),
    )


async def _look_closer(
    context: Context, snapshot: NodeSnapshot, spec: NodeSpec, swarm: str | None, wanted: Replicas
) -> NodeSnapshot:
    """What must be asked for, only while something isn't as it should be."""
    meta = snapshot.live["metadata"]
    if swarm is None:
        return replace(snapshot, missing=((SWARMS.kind, spec.swarm.name or ""),))
    if not wanted.head:
        return snapshot
    unready = [pod for pod in snapshot.pods if not pod_ready(pod)]
    snapshot = replace(snapshot, stuck=await looks.stuck(context.kube, unready, snapshot.now))
    heads = [pod for pod in snapshot.pods if pod["metadata"]["labels"].get(ROLE_LABEL) == HEAD]
    if any(map(pod_ready, heads)):
        return snapshot
    missing = await looks.missing_references(context.kube, meta["namespace"], spec)
    refused: tuple[str, ...] = ()
    if not heads:
        refused = await looks.refusals(context.kube, context.store, meta["namespace"], meta["name"], snapshot.now)
    return replace(snapshot, missing=missing, refusals=refused)


def _nothing(snapshot: NodeSnapshot) -> NodeFacts:
    return NodeFacts(None, None, progress(snapshot, None, None), Replicas(0, 0), (), False)


def _owner(snapshot: NodeSnapshot, spec: NodeSpec) -> Owner:
    meta = snapshot.live["metadata"]
    return Owner(meta["namespace"], meta["name"], meta["uid"], spec.swarm.name or "")


def _swarm_id(context: Context, snapshot: NodeSnapshot, spec: NodeSpec) -> str | None:
    if spec.swarm.join is not None:
        return spec.swarm.join.swarm_id
    if snapshot.swarm is None:
        return None
    recorded = (snapshot.swarm.get("status") or {}).get("swarmId")
    return swarm_id(snapshot.swarm["metadata"]["uid"], context.chain.facts.owner, recorded)


async def _apply(context: Context, snapshot: NodeSnapshot, spec: NodeSpec, owner: Owner, facts: NodeFacts) -> None:
    assert facts.swarm_id is not None and facts.node_id is not None
    token = await node_secrets.ray_token(context, owner)
    exchange = await node_secrets.exchange_credentials(context, owner, spec, facts.swarm_id, facts.node_id)
    if facts.stop_round is not None:  # the trainer finds its rounds done, and the attestor posts what is left
        spec = spec.model_copy(update={"rounds": min(spec.rounds, facts.stop_round)})
    inputs = (snapshot.live["metadata"]["generation"], spec.rounds, owner, facts.swarm_id, facts.node_id)
    manifests = context.built.get(
        owner.uid,
        (*inputs, token, exchange, facts.replicas),
        lambda: objects(
            owner,
            spec,
            _config(context, owner, spec, facts.swarm_id or "", facts.node_id or ""),
            context.config.images,
            _peers(context, spec),
            facts.replicas,
            (token, facts.node_id or ""),
            exchange,
        ),
    )
    await context.applier.apply(manifests)
    kept = [identity_secret(owner, "", True), *([exchange_secret(owner, "")] if exchange else [])]
    await context.applier.prune(snapshot.children, [*manifests, *kept], owner.uid)


def _peers(context: Context, spec: NodeSpec) -> Peers:
    chain = context.config.chain
    environment = spec.environment
    packages = environment.interpreter is not None and environment.interpreter.requirements is not None
    return Peers(
        context.namespace,
        chain.url if chain else None,
        context.exchange.url,
        hub=bool(spec.model.hub) or packages,
        environment_url=environment.open_env.url if environment.open_env else None,
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


def _all_ready(snapshot: NodeSnapshot, wanted: Replicas) -> bool:
    return sum(map(pod_ready, snapshot.pods)) >= wanted.head + wanted.rollout
