"""Specs, objects and snapshots that the tests here start from."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from kubeswarm_api.names import HEAD, NODE_LABEL, ROLE_LABEL
from kubeswarm_api.node import NodeSpec, NodeStatus
from kubeswarm_api.node_config import ChainConfig, ExchangeConfig, NodeConfig
from kubeswarm_api.operator_config import Images
from kubeswarm_api.spec_training import TrainingSpec
from kubeswarm_api.swarm import SwarmSpec, SwarmStatus
from kubeswarm_operator.build.meta import Owner
from kubeswarm_operator.observe.snapshot import ChainFacts, ExchangeFacts, NodeSnapshot, Reports, SwarmSnapshot
from tests.cluster.manifests import TRAINING, merged

NOW = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)
EARLIER = "2030-01-01T11:00:00Z"
OWNER = Owner("research", "light-0", "uid-0", "light")
IMAGES = Images(worker="kubeswarm/worker:v1")
SWARM_ID = "0x" + "ab" * 32


def node_spec(**changes: Any) -> NodeSpec:
    """A Node's spec."""
    return NodeSpec.model_validate(merged({**TRAINING, "swarm": {"name": "light"}}, changes))


def swarm_spec(**changes: Any) -> SwarmSpec:
    """A Swarm's spec."""
    return SwarmSpec.model_validate(merged(TRAINING, changes))


def node_config(spec: NodeSpec) -> NodeConfig:
    """What the Node's pods would be told."""
    training = TrainingSpec.model_validate({name: getattr(spec, name) for name in TrainingSpec.model_fields})
    address = "0x" + "11" * 20
    return NodeConfig(
        namespace="research",
        name="light-0",
        swarm="light",
        swarm_id=SWARM_ID,
        index=0,
        training=training,
        model_dir="/model",
        chain=ChainConfig(
            url="http://chain:8545",
            chain_id=31337,
            eas=address,
            schema_uid=SWARM_ID,
            node_registry=address,
            swarm_registry=address,
            resolver=address,
        ),
        exchange=ExchangeConfig(url="nats://exchange:4222"),
    )


def pod(name: str = "light-0-head-0", role: str = HEAD, ready: bool = True, **status: Any) -> dict[str, Any]:
    """A pod."""
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": "research",
            "name": name,
            "uid": f"uid-{name}",
            "creationTimestamp": EARLIER,
            "labels": {NODE_LABEL: "light-0", ROLE_LABEL: role},
        },
        "status": {"phase": "Running", "conditions": conditions, **status},
    }


def node_snapshot(spec: NodeSpec | None = None, **changes: Any) -> NodeSnapshot:
    """A Node that trains, with one ready pod, no chain and no exchange."""
    meta = {"namespace": "research", "name": "light-0", "uid": "uid-0", "generation": 3}
    live = {"apiVersion": "kubeswarm.dev/v1alpha1", "kind": "Node", "metadata": meta}
    snapshot = NodeSnapshot(
        live=live,
        spec=spec or node_spec(),
        invalid="",
        status=NodeStatus(),
        swarm={"metadata": {"name": "light", "namespace": "research", "uid": "uid-s"}},
        children={},
        pods=(pod(),),
        reports=Reports(),
        missing=(),
        refusals=(),
        stuck=(),
        chain=ChainFacts(),
        exchange=ExchangeFacts(),
        now=NOW,
    )
    return replace(snapshot, **changes)


def node_object(index: int, status: NodeStatus | None = None, owner: str = "uid-s", **meta: Any) -> dict[str, Any]:
    """A Swarm's Node as the API has it."""
    return {
        "apiVersion": "kubeswarm.dev/v1alpha1",
        "kind": "Node",
        "metadata": {
            "namespace": "research",
            "name": f"light-{index}",
            "uid": f"uid-{index}",
            "ownerReferences": [{"uid": owner, "controller": True}],
            **meta,
        },
        "spec": {"index": index, "swarm": {"name": "light"}},
        "status": (status or NodeStatus()).to_json(),
    }


def swarm_snapshot(spec: SwarmSpec | None = None, **changes: Any) -> SwarmSnapshot:
    """A Swarm without Nodes."""
    meta = {"namespace": "research", "name": "light", "uid": "uid-s", "generation": 2}
    snapshot = SwarmSnapshot(
        live={"apiVersion": "kubeswarm.dev/v1alpha1", "kind": "Swarm", "metadata": meta},
        spec=spec or swarm_spec(),
        invalid="",
        status=SwarmStatus(),
        nodes=(),
        taken=frozenset(),
        chain=ChainFacts(),
        exchange=ExchangeFacts(),
        now=NOW,
    )
    return replace(snapshot, **changes)
