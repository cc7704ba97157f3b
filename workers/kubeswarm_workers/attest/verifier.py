"""Whether a batch was signed by the key of a Node that is a member of the Swarm, as the chain has it."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from kubeswarm_api.records import Address, Digest
from kubeswarm_contracts import Chain, domain, recover_batch_signer

#: How long what the chain said of a Node is believed: a Node that has just joined is soon let in.
MEMBER_SECONDS = 30.0
STRANGER_SECONDS = 3.0
#: Nodes remembered; strangers can't make it more.
CACHED_NODES = 4096


@dataclass(frozen=True)
class Verdict:
    """`reason` is None where the signature counts; else one of `rollouts.DROP_REASONS`."""

    reason: Literal["signature", "membership"] | None
    message: str = ""


@dataclass(frozen=True)
class _Standing:
    key: Address | None
    member: bool
    until: float


class Verifier:
    """Verifies for one Swarm. Threads may share it."""

    def __init__(self, chain: Chain, swarm_id: Digest, clock: Callable[[], float] = time.monotonic) -> None:
        self._chain, self._swarm_id, self._clock = chain, swarm_id, clock
        self._domain = domain(chain.deployment)
        self._standings: OrderedDict[Address, _Standing] = OrderedDict()
        self._lock = threading.Lock()

    def verify(self, node_id: Address, round: int, digest: bytes, signature: bytes) -> Verdict:
        """Checks the signature of one batch, whose Merkle root is `digest`. Raises ChainError without a chain."""
        standing = self._standing(node_id)
        if standing.key is None or not standing.member:
            return Verdict("membership", f"{node_id} is not a member of the swarm")
        signer = recover_batch_signer(self._domain, self._swarm_id, node_id, round, digest, signature)
        if signer != standing.key:
            return Verdict("signature", f"signed by {signer or 'nobody'}, the key of {node_id} is {standing.key}")
        return Verdict(None)

    def _standing(self, node_id: Address) -> _Standing:
        with self._lock:
            known = self._standings.get(node_id)
            if known is not None and self._clock() < known.until:
                self._standings.move_to_end(node_id)
                return known
        key, member = self._chain.key_of(node_id), self._chain.is_member(self._swarm_id, node_id)
        good = member and key is not None
        standing = _Standing(key, member, self._clock() + (MEMBER_SECONDS if good else STRANGER_SECONDS))
        with self._lock:
            self._standings[node_id] = standing
            self._standings.move_to_end(node_id)
            while len(self._standings) > CACHED_NODES:
                self._standings.popitem(last=False)
        return standing
