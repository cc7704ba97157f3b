"""All of a Node's objects but its Secrets' content: what one pass brings the cluster to."""

from kubeswarm_api.node import NodeSpec
from kubeswarm_api.node_config import NodeConfig
from kubeswarm_api.operator_config import Images
from kubeswarm_operator.build.claim import claim
from kubeswarm_operator.build.config_map import config_map, restart_digest
from kubeswarm_operator.build.deployment import deployment
from kubeswarm_operator.build.meta import Owner
from kubeswarm_operator.build.network_policy import Peers, network_policies
from kubeswarm_operator.build.secrets import ray_secret
from kubeswarm_operator.build.service import head_service
from kubeswarm_operator.build.stateful_set import stateful_set
from kubeswarm_operator.decide.children import stamped
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
        stateful_set(owner, spec, images, mark, replicas.head, exchange),
        *([deployment(owner, spec, images, mark, replicas.rollout)] if workers else []),
    ]
    return [stamped(manifest) for manifest in manifests]
