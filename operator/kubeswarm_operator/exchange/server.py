"""The configuration of the NATS server that carries the exchange."""

from kubeswarm_api.rollouts import MAX_BATCH_BYTES
from kubeswarm_operator.exchange import jwt
from kubeswarm_operator.exchange.keyring import Keyring

CLIENT_PORT = 4222
#: /healthz for probes, /varz and /jsz for metrics; it changes nothing.
MONITORING_PORT = 8222
STORE_DIR = "/data"
#: A message is a batch and its headers.
MAX_MESSAGE_BYTES = MAX_BATCH_BYTES + 4096


def nats_conf(
    keyring: Keyring,
    store_bytes: int,
    store_dir: str = STORE_DIR,
    client_port: int = CLIENT_PORT,
    monitoring_port: int = MONITORING_PORT,
) -> str:
    """nats.conf. Equal arguments give equal text, so that it can be compared with the one in use.

    It holds public keys and signed tokens, no private key. `store_bytes`: disk that all streams may take together.
    """
    system, account = jwt.public_key(keyring.system), jwt.public_key(keyring.account)
    return f"""\
server_name: kubeswarm-exchange
listen: "0.0.0.0:{client_port}"
http: "0.0.0.0:{monitoring_port}"
max_payload: {MAX_MESSAGE_BYTES}
max_connections: 4096
jetstream {{
  store_dir: "{store_dir}"
  max_memory_store: 0
  max_file_store: {store_bytes}
}}
operator: {jwt.operator_token(keyring.operator, system)}
system_account: {system}
resolver: MEMORY
resolver_preload: {{
  {system}: {jwt.account_token(keyring.operator, system, "system", 0)}
  {account}: {jwt.account_token(keyring.operator, account, "swarms", store_bytes)}
}}
"""
