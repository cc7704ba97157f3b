"""The configuration of the NATS server that carries the exchange.

A publisher's permissions do not cover the reply subject that it asks for, and JetStream answers there with the rights
of the stream's account: a Node in that account could have an answer sent to `$JS.API.STREAM.DELETE.…`. So Nodes are
users of an account of their own, where no JetStream listens, and reach the streams' account by two services alone:
publishing rollouts, and reading a stream message by message ("direct get").
"""

from typing import Any

from kubeswarm_api.rollouts import MAX_MESSAGE_BYTES
from kubeswarm_operator.exchange import jwt
from kubeswarm_operator.exchange.keyring import Keyring

CLIENT_PORT = 4222
#: /healthz for probes, /varz and /jsz for metrics; it changes nothing.
MONITORING_PORT = 8222
STORE_DIR = "/data"
#: Environment variable of the server with the bytes of disk that all streams may take together: it belongs to the disk.
STORE_BYTES_VARIABLE = "KUBESWARM_STORE_BYTES"
#: What the streams' account does for the Nodes' account.
SERVICES = {"publish": "kubeswarm.*.groups.*", "read": "$JS.API.DIRECT.GET.*"}


def nats_conf(
    keyring: Keyring,
    store_dir: str = STORE_DIR,
    client_port: int = CLIENT_PORT,
    monitoring_port: int = MONITORING_PORT,
) -> str:
    """nats.conf. Equal arguments give equal text, so that it can be compared with the one in use.

    It holds public keys and signed tokens, no private key.
    """
    system, streams, nodes = map(jwt.public_key, (keyring.system, keyring.streams, keyring.nodes))
    accounts = {
        system: jwt.account_token(keyring.operator, system, "system", {"limits": _limits()}),
        streams: jwt.account_token(
            keyring.operator,
            streams,
            "streams",
            {
                "limits": _limits(disk_storage=jwt.UNLIMITED, streams=jwt.UNLIMITED, max_bytes_required=True),
                "exports": [
                    {"name": name, "type": "service", "subject": subject} for name, subject in SERVICES.items()
                ],
            },
        ),
        nodes: jwt.account_token(
            keyring.operator,
            nodes,
            "nodes",
            {
                "limits": _limits(imports=len(SERVICES)),
                "imports": [
                    {"name": name, "type": "service", "subject": subject, "account": streams}
                    for name, subject in SERVICES.items()
                ],
            },
        ),
    }
    preload = "\n".join(f"  {account}: {token}" for account, token in accounts.items())
    return f"""\
server_name: kubeswarm-exchange
listen: "0.0.0.0:{client_port}"
http: "0.0.0.0:{monitoring_port}"
max_payload: {MAX_MESSAGE_BYTES}
max_connections: 4096
jetstream {{
  store_dir: "{store_dir}"
  max_memory_store: 0
  max_file_store: ${STORE_BYTES_VARIABLE}
}}
operator: {jwt.operator_token(keyring.operator, system)}
system_account: {system}
resolver: MEMORY
resolver_preload: {{
{preload}
}}
"""


def _limits(**more: Any) -> dict[str, Any]:
    unlimited = dict.fromkeys(("subs", "data", "payload", "conn", "exports"), jwt.UNLIMITED)
    return {**unlimited, "disallow_bearer": True, **more}
