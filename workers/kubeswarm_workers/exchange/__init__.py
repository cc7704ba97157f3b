"""The exchange of rollouts between Nodes, over NATS JetStream."""

from pathlib import Path

from kubeswarm_api.errors import InvalidConfig
from kubeswarm_api.node_config import NodeConfig
from kubeswarm_workers.ports import Exchange, Notary


def open_exchange(config: NodeConfig, credentials: Path, notary: Notary) -> Exchange:
    """Connects in the background, for as long as it takes. `credentials`: the Node's `.creds` file."""
    from kubeswarm_workers.exchange.client import NatsExchange

    if config.exchange is None:
        raise InvalidConfig("exchange: no server is configured to open a connection to")
    return NatsExchange(config.exchange.url, credentials, config.swarm_id, notary)
