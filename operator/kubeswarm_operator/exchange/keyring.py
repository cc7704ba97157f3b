"""The keys behind the exchange, and the credentials minted from them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from kubeswarm_api.errors import InvalidConfig
from kubeswarm_api.names import groups_subject, inbox_prefix, stream_name
from kubeswarm_operator.exchange import jwt

OPERATOR_SEED = "operator.seed"
SYSTEM_SEED = "system.seed"
STREAMS_SEED = "streams.seed"
NODES_SEED = "nodes.seed"


@dataclass(frozen=True, repr=False)
class Keyring:
    """Seeds of the NATS operator and its accounts.

    `system` serves the server itself. `streams` holds the streams, and only the operator is a user of it. The Nodes are
    users of `nodes`, which can do no more than what `streams` exports (see `server.py`).
    """

    operator: str
    system: str
    streams: str
    nodes: str

    def to_secret(self) -> dict[str, str]:
        """As the plain (not base64) data of a Secret."""
        return {
            OPERATOR_SEED: self.operator,
            SYSTEM_SEED: self.system,
            STREAMS_SEED: self.streams,
            NODES_SEED: self.nodes,
        }

    @classmethod
    def from_secret(cls, data: Mapping[str, str]) -> Self:
        """From the plain data of a Secret; other keys in it are ignored. Raises InvalidConfig."""
        seeds: list[str] = []
        for key in (OPERATOR_SEED, SYSTEM_SEED, STREAMS_SEED, NODES_SEED):
            try:
                seeds.append(data[key].strip())
                jwt.public_key(seeds[-1])
            except (KeyError, ValueError) as error:
                raise InvalidConfig(
                    f"the exchange's Secret has no nkey seed under {key}: restore it, or delete the Secret to have a "
                    "new one made (and all Nodes' exchange credentials with it)"
                ) from error
        return cls(*seeds)


def new_keyring() -> Keyring:
    """Fresh random keys."""
    return Keyring(jwt.new_seed(jwt.OPERATOR), *(jwt.new_seed(jwt.ACCOUNT) for _ in range(3)))


def admin_credentials(keyring: Keyring) -> str:
    """A `.creds` file for the operator itself: it manages streams and reads no messages."""
    publish = ["$JS.API.STREAM.*.*", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.INFO"]
    return _mint(keyring.streams, "kubeswarm-operator", publish, ["_INBOX.>"])


def node_credentials(keyring: Keyring, swarm_id: str, node_id: str) -> str:
    """A `.creds` file for one Node, with a key of its own: each call makes other credentials that are as good.

    The Node may publish its own groups, and read its Swarm's stream message by message ("direct get"). It gets no
    consumers: their delivery subject is chosen by who makes them and served with the server's rights.
    """
    publish = [groups_subject(swarm_id, node_id), f"$JS.API.DIRECT.GET.{stream_name(swarm_id)}"]
    return _mint(keyring.nodes, node_id, publish, [f"{inbox_prefix(node_id)}.>"])


def _mint(account_seed: str, name: str, publish: list[str], subscribe: list[str]) -> str:
    seed = jwt.new_seed(jwt.USER)
    token = jwt.user_token(account_seed, jwt.public_key(seed), name, publish, subscribe, int(time.time()))
    return jwt.credentials(token, seed)
