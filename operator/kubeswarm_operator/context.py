"""What passes work with: made once at start, handed to every pass."""

import asyncio
from dataclasses import dataclass, field

from kubeswarm_api.operator_config import OperatorConfig
from kubeswarm_operator.apply import Applier
from kubeswarm_operator.chain import ChainView
from kubeswarm_operator.exchange_link import ExchangeLink
from kubeswarm_operator.kube import Kube
from kubeswarm_operator.observe.parsing import Memo
from kubeswarm_operator.observe.reports import ReportPoller
from kubeswarm_operator.observe.store import Key, Store
from kubeswarm_operator.queue import WorkQueue
from kubeswarm_operator.report import Reporter
from kubeswarm_operator.resources import Object


@dataclass(frozen=True)
class Context:
    """Everything outside a pass."""

    config: OperatorConfig
    namespace: str  # the operator's own
    kube: Kube
    store: Store
    applier: Applier
    reporter: Reporter
    reports: ReportPoller
    chain: ChainView
    exchange: ExchangeLink
    swarm_queue: WorkQueue[Key]
    node_queue: WorkQueue[Key]
    turns: asyncio.Lock = field(default_factory=asyncio.Lock)  # held while a Node replaces its pods
    earlier: Memo[list[Object]] = field(default_factory=Memo)  # what Nodes went back to
    built: Memo[list[Object]] = field(default_factory=Memo)  # Nodes' manifests by what they were built from
