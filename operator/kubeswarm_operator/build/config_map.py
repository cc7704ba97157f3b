"""The ConfigMap with a Node's configuration, and the digest of the part that a restart is needed for."""

from kubeswarm_api.encoding import canonical_json, digest
from kubeswarm_api.names import NODE_CONFIG_KEY, config_name
from kubeswarm_api.node_config import NodeConfig
from kubeswarm_operator.build.meta import Owner, manifest
from kubeswarm_operator.resources import CONFIG_MAPS, Object


def config_map(owner: Owner, config: NodeConfig) -> Object:
    """node.json, in canonical JSON so that equal configurations are equal bytes.

    Without defaults, so that workers of an earlier version read what a later operator writes.
    """
    data = {NODE_CONFIG_KEY: canonical_json(config.to_compact()).decode()}
    return manifest(CONFIG_MAPS, owner, config_name(owner.name), {"data": data})


def restart_digest(config: NodeConfig, *secrets: str) -> str:
    """Changes when running pods must start anew, and not when a later version of the operator has more fields.

    `secrets`: what tells apart Secrets that processes read once, such as their uids.
    """
    content = {**config.read_at_start().to_compact(), "secrets": secrets}
    return digest(canonical_json(content)).hex()[:32]
