"""The two doors of the trainer to the world outside its pod: the exchange of rollouts, and the keeper of the key.

Both are optional: without a chain nothing is signed, without an exchange nothing is shared. Who implements them:

- `kubeswarm_workers.exchange.open_exchange(config: NodeConfig, credentials: Path, notary: Notary) -> Exchange`
- `kubeswarm_workers.attest.open_notary(socket: Path) -> Notary` (the attestor's client over its Unix socket)
"""

from collections.abc import Mapping
from typing import Protocol

from kubeswarm_api.records import Address
from kubeswarm_api.rollouts import SignedBatch


class Notary(Protocol):
    """Signs for this Node and checks the signatures of others; the key itself stays with the attestor."""

    @property
    def node_id(self) -> Address:
        """This Node's identity on chain, as 0x and 40 hex digits."""
        ...

    def sign(self, round: int, root: bytes) -> bytes:
        """The 65-byte EIP-712 signature over (swarm, node, round, root). Raises OSError while it can't be reached."""
        ...

    def verify(self, batch: SignedBatch) -> None:
        """Checks signature and membership of a foreign batch. Raises InvalidBatch (signature, membership)."""
        ...


class Exchange(Protocol):
    """Rollouts of the other Nodes in, this Node's out. No call waits for the network longer than a few seconds."""

    @property
    def connected(self) -> bool:
        """Whether the connection stands now; it is made again in the background when it does not."""
        ...

    @property
    def dropped(self) -> Mapping[str, int]:
        """Foreign groups that this client refused since it was opened, by reason of `rollouts.DROP_REASONS`."""
        ...

    def publish(self, batch: SignedBatch) -> None:
        """Hands a batch over for sending, best effort: what can't be sent in time is logged and given up.

        Raises InvalidBatch (size) when it can never be sent.
        """
        ...

    def received(self, after: int) -> list[tuple[int, SignedBatch]]:
        """Foreign batches with a cursor above `after`, in the order of their cursors.

        Size, schema, signature and membership are checked already; round window, environment, duplicates and reward
        are not. Cursors are the stream's sequence numbers, so that a restarted trainer goes on where its checkpoint
        stopped; one's own batches are left out.
        """
        ...

    def close(self) -> None:
        """Sends what is left for at most a few seconds, and disconnects."""
        ...
