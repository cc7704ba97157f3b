"""All of a Node's objects but its Secrets' content: what one pass brings the cluster to."""

from kubeswarm_api.node import NodeSpec
from kubeswarm_api.node_config import NodeConfig
from kubeswarm_api.operator_config import Images
from kubeswarm_operator.build.claim import claim
from kubeswarm_operator.build.config_map import config_map, restart_digest
from kubeswarm_operator.build.deployment import deployment
from kubeswarm_operator.build.meta import Owner
from kubeswarm_operator.build.network_policy import Peers, network_policies
from kubeswarm_operator.build.queue import in_queue
from kubeswarm_operator.build.secrets import ray_secret
from kubeswarm_operator.build.service import head_service
from kubeswarm_operator.build.stateful_set import stateful_set
from kubeswarm_operator.decide.children import stamped
from kubeswarm_operator.decide.queueing import gang
from kubeswarm_operator.decide.replicas import Replicas
from kubeswarm_operator.resources import Object


def objects(
    owner: Owner,
    spec: NodeSpec,
    config: NodeConfig,
    images: Images,
    peers: Peers,
    replicas: Replicas,
    secrets: tuple[str, ...],
    exchange: str | None,
) -> list[Object]:
    """The stamped manifests, in the order in which pods need them.

    `secrets`: what tells apart Secrets that running pods have read; `exchange`: the Secret with credentials for it.
    """
    mark = restart_digest(config, *secrets)
    workers = spec.rollout.workers
    manifests = [
        ray_secret(owner),
        claim(owner, spec.storage),
        config_map(owner, config),
        head_service(owner),
        *network_policies(owner, peers, workers),
        *_workloads(owner, spec, images, mark, replicas, exchange),
    ]
    return [stamped(manifest) for manifest in manifests]


def _workloads(
    owner: Owner, spec: NodeSpec, images: Images, mark: str, replicas: Replicas, exchange: str | None
) -> list[Object]:
    head = stateful_set(owner, spec, images, mark, replicas.head, exchange)
    size = gang(spec)
    first = min(size, replicas.rollout)
    together = [deployment(owner, spec, images, mark, first, gang=True)] if size else []
    alone = spec.rollout.workers > size
    others = [deployment(owner, spec, images, mark, replicas.rollout - first)] if alone else []
    if spec.queue is None:
        return [head, *others]
    return in_queue(owner, spec.queue, [head, *together], others, 1 + size)
