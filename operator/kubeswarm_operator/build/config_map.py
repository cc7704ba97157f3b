"""The ConfigMap with a Node's configuration, and the digest of the part that a restart is needed for."""

from kubeswarm_api.encoding import canonical_json, digest
from kubeswarm_api.names import NODE_CONFIG_KEY, config_name
from kubeswarm_api.node_config import NodeConfig
from kubeswarm_operator.build.meta import Owner, manifest
from kubeswarm_operator.resources import CONFIG_MAPS, Object


def config_map(owner: Owner, config: NodeConfig) -> Object:
    """node.json, in canonical JSON so that equal configurations are equal bytes."""
    data = {NODE_CONFIG_KEY: canonical_json(config.to_json()).decode()}
    return manifest(CONFIG_MAPS, owner, config_name(owner.name), {"data": data})


def restart_digest(config: NodeConfig, *secrets: str) -> str:
    """Changes when running pods must start anew.

    That is with everything but the number of rollout pods, of which only matters whether the engine lives in the head
    pod (none) or not. `secrets`: what tells apart Secrets that processes read once, such as their uids.
    """
    content = {**config.to_json(), "secrets": secrets}
    content["training"]["rollout"]["workers"] = min(1, config.training.rollout.workers)
    return digest(canonical_json(content)).hex()[:32]
