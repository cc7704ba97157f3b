"""What one pass looks at: a frozen view of one Swarm or one Node and of all that belongs to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kubeswarm_api.node import NodeSpec, NodeStatus
from kubeswarm_api.reports import AttestorReport, NodeReport
from kubeswarm_api.swarm import SwarmSpec, SwarmStatus
from kubeswarm_operator.resources import Object


@dataclass(frozen=True)
class ChainFacts:
    """What is known of the chain. `configured` False: there is none, and nothing waits for it."""

    configured: bool = False
    asked: bool = False  # False until the first answer, or none, since this process started
    owner: str | None = None  # address of the operator's account
    reachable: bool = False
    reason: str = ""  # a value of conditions.Reason, when something is wrong
    message: str = ""
    swarms: frozenset[str] = frozenset()  # ids that exist on the chain
    members: Mapping[str, int] = field(default_factory=dict)  # members by swarm id
    attested: Mapping[tuple[str, str], int] = field(default_factory=dict)  # rounds by (swarm id, node id)


@dataclass(frozen=True)
class ExchangeFacts:
    """What is known of the exchange."""

    configured: bool = False
    asked: bool = False  # False until the first attempt since this process started
    reachable: bool = False
    message: str = ""


@dataclass(frozen=True)
class Reports:
    """What a Node's head pod says of itself; None: it didn't answer."""

    trainer: NodeReport | None = None
    attestor: AttestorReport | None = None


@dataclass(frozen=True)
class SwarmSnapshot:
    """One Swarm."""

    live: Object
    spec: SwarmSpec | None
    invalid: str
    status: SwarmStatus
    nodes: tuple[Object, ...]  # those of its label, owned by it or not
    taken: frozenset[str]  # names that its Nodes would have, but that others have
    chain: ChainFacts
    exchange: ExchangeFacts
    now: datetime


@dataclass(frozen=True)
class NodeSnapshot:
    """One Node."""

    live: Object
    spec: NodeSpec | None
    invalid: str
    status: NodeStatus
    swarm: Object | None  # the Swarm of its spec.swarm.name
    children: Mapping[tuple[str, str], Object]  # by (kind, name)
    pods: tuple[Object, ...]
    reports: Reports
    missing: tuple[tuple[str, str], ...]  # (kind, name) of what the spec refers to and the namespace lacks
    refusals: tuple[str, ...]  # why the API server refused the head's pod
    stuck: tuple[tuple[str, str], ...]  # (pod, what its kubelet says) of pods that don't get started
    chain: ChainFacts
    exchange: ExchangeFacts
    now: datetime


def container_statuses(status: Object) -> list[Object]:
    """What a pod's status says of each container, those that start first before the others."""
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
