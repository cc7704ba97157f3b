"""The exchange's side of the operator: keys and credentials (pure), the server's configuration (pure), streams."""

from kubeswarm_operator.exchange.keyring import Keyring, admin_credentials, new_keyring, node_credentials
from kubeswarm_operator.exchange.server import nats_conf
from kubeswarm_operator.exchange.streams import ExchangeUnavailable, delete_stream, ensure_stream

__all__ = [
    "ExchangeUnavailable",
    "Keyring",
    "admin_credentials",
    "delete_stream",
    "ensure_stream",
    "nats_conf",
    "new_keyring",
    "node_credentials",
]
