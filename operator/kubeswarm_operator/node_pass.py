"""One pass over one Node: observe, decide, build, apply, report."""

from dataclasses import replace
from datetime import UTC, datetime

from kubeswarm_api.conditions import ConditionType
from kubeswarm_api.names import HEAD, ROLE_LABEL, rollout_name
from kubeswarm_api.node import NodeSpec, NodeStatus
from kubeswarm_operator import node_secrets
from kubeswarm_operator.apply import Refused
from kubeswarm_operator.build.meta import Owner
from kubeswarm_operator.context import Context
from kubeswarm_operator.decide import ending
from kubeswarm_operator.decide.children import controller
from kubeswarm_operator.decide.completion import progress
from kubeswarm_operator.decide.conditions import holds
from kubeswarm_operator.decide.expiry import expires_in
from kubeswarm_operator.decide.health import Problem, pod_ready, problems
from kubeswarm_operator.decide.identity import swarm_id
from kubeswarm_operator.decide.node_status import NodeFacts, node_status
from kubeswarm_operator.decide.queueing import admission, held, waits
from kubeswarm_operator.decide.replicas import Replicas, replicas
from kubeswarm_operator.decide.rollback import on_trial
from kubeswarm_operator.decide.rolling import rolling
from kubeswarm_operator.node_apply import bring
from kubeswarm_operator.observe import looks
from kubeswarm_operator.observe.parsing import parse_spec, parse_status
from kubeswarm_operator.observe.snapshot import NodeSnapshot, Reports
from kubeswarm_operator.observe.store import Key
from kubeswarm_operator.resources import CHILDREN, DEPLOYMENTS, NODES, PODS, SWARMS, Object

#: Seconds until a Node is looked at again without an event: one of whose pods nothing certain is heard, one that isn't
#: as it should be, and one that is.
LOOK_SOON, LOOK_AGAIN, RESYNC = 1.0, 5.0, 600.0


async def node_pass(context: Context, key: Key) -> float | None:
    """Returns seconds to the next look; None if the Node is gone."""
    live = context.store.get(NODES, *key)
    if live is None:
        context.node_queue.forget(key)
        context.reporter.forget(NODES, key)
        return None
    if "deletionTimestamp" in live["metadata"] or _goes_with_its_swarm(context, live):
        return RESYNC
    for pod in filter(pod_ready, context.store.of_node(PODS, *key)):
        await context.reports.first_word(pod)
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
            facts = await bring(context, snapshot, snapshot.spec, owner, facts)
        except Refused as error:
            refused = error.problem
    # What was decided is about the spec of the pass's beginning, and so is what is said of it.
    seen = replace(_observe(context, context.store.get(NODES, *key) or live), live=live, spec=snapshot.spec)
    snapshot = await _look_closer(context, seen, snapshot.spec, swarm, facts.replicas)
    found = tuple(problems(snapshot))
    facts = replace(facts, problems=(refused, *found) if refused else found, rolling=_rolling(snapshot))
    status = node_status(snapshot, facts)
    if holds(ConditionType.READY, status.conditions) and context.store.may_be_old(PODS):
        return LOOK_SOON  # they may be gone
    again = await context.reporter.report(live, snapshot.status, status)
    left = expires_in(_ttl(snapshot), status.conditions, snapshot.now)
    if left is not None and left <= 0 and again is None:
        await context.applier.delete(live)
    as_it_should_be = waits(snapshot) or _all_ready(snapshot, facts.replicas)
    settled = as_it_should_be and not (facts.problems or facts.rolling or on_trial(facts.change))
    look = RESYNC if settled else LOOK_AGAIN
    times = (again, _turn_seconds(context, snapshot) if facts.waits else look, ending.seconds_left(snapshot), left)
    return min(each for each in times if each is not None and each > 0)


def _goes_with_its_swarm(context: Context, live: Object) -> bool:
    """Whether the Swarm that made it is gone: the garbage collector is on its way, with thousands to take."""
    made_by = controller(live)
    if made_by is None or made_by["kind"] != SWARMS.kind:
        return False
    swarm = context.store.get(SWARMS, live["metadata"]["namespace"], made_by["name"])
    return swarm is None or swarm["metadata"]["uid"] != made_by["uid"]


def _ttl(snapshot: NodeSnapshot) -> int | None:
    """A Swarm's own Nodes go with it, never before: it would make them again."""
    return None if controller(snapshot.live) or snapshot.spec is None else snapshot.spec.ttl_seconds_after_finished


def _decide(snapshot: NodeSnapshot, spec: NodeSpec, swarm: str, node: str) -> NodeFacts:
    """How far the Node is, and how many pods it should have."""
    stop = ending.stop_round(snapshot)
    done = progress(snapshot, swarm, node, stop)
    failed = ending.failure(snapshot, done.complete, problems(snapshot))
    others = snapshot.children.get((DEPLOYMENTS.kind, rollout_name(snapshot.live["metadata"]["name"])))
    wanted = replicas(spec, done.complete or failed is not None, admission(snapshot), others)
    return NodeFacts(swarm, node, done, wanted, (), False, stop, failed, change=snapshot.status.change)


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
    unready = [pod for pod in snapshot.pods if not pod_ready(pod) and not held(pod)]
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
    done = progress(snapshot, None, None)
    return NodeFacts(None, None, done, Replicas(0, 0, 0), (), False, change=snapshot.status.change)


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


def _rolling(snapshot: NodeSnapshot) -> bool:
    return rolling(snapshot.children.values())


def _turn_seconds(context: Context, snapshot: NodeSnapshot) -> float:
    """Seconds until a Node that waits for its turn asks again: longer where many wait."""
    meta = snapshot.live["metadata"]
    swarm = snapshot.spec.swarm.name if snapshot.spec else None
    return LOOK_AGAIN + len(context.store.of_swarm(meta["namespace"], swarm or "")) / 20


def _all_ready(snapshot: NodeSnapshot, wanted: Replicas) -> bool:
    return sum(map(pod_ready, snapshot.pods)) >= wanted.head + wanted.ready
