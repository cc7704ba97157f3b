"""Reading a chain: everything shown from it comes from views and events, so anyone can read the same."""

import struct
import time
from collections.abc import Iterator
from typing import Any, Literal

from eth_abi.exceptions import DecodingError

from kubeswarm_api.base import Model
from kubeswarm_api.encoding import from_hex, to_hex
from kubeswarm_api.records import Address, Digest, RoundRecord
from kubeswarm_contracts.abi import Interface, interface
from kubeswarm_contracts.attestation import Attestation, AttestationData, Batch
from kubeswarm_contracts.deployments import Deployment
from kubeswarm_contracts.errors import ChainRejected, ChainUnreachable
from kubeswarm_contracts.rpc import Rpc, RpcError

POLICIES: tuple[Literal["open", "invited", "staked"], ...] = ("open", "invited", "staked")
NOBODY: Address = "0x" + 40 * "0"

#: Blocks asked for in one log query. An endpoint that takes fewer gets halves.
LOG_BLOCKS = 10_000
_POLL_SECONDS = 0.25

_EAS = interface("EAS")
_NODES = interface("NodeRegistry")
_SWARMS = interface("SwarmRegistry")
_RESOLVER = interface("RoundResolver")


class SwarmInfo(Model):
    """A swarm on chain. `config`: digest of its configuration. `members`: how many Nodes are in it."""

    id: Digest
    owner: Address
    policy: Literal["open", "invited", "staked"]
    config: Digest
    members: int


class Member(Model):
    """A Node in a swarm. `key`: its current key; None while its owner left it without one."""

    node_id: Address
    key: Address | None


class AttestedRounds(Model):
    """One attestation: rounds `first` to `last` of a Node, whose records have the Merkle root `root`."""

    uid: Digest
    node_id: Address
    first: int
    last: int
    root: Digest
    block: int
    tx_hash: Digest
    gas_used: int | None = None


class Chain:
    """A chain at `url`, with our contracts as in `deployment`. Methods raise ChainUnreachable and ChainRejected."""

    def __init__(self, url: str, deployment: Deployment) -> None:
        self.deployment = deployment
        self.rpc = Rpc(url)

    def wait(self, seconds: float) -> None:
        """Returns when the chain answers; raises ChainUnreachable if it does not within `seconds`."""
        end = time.monotonic() + seconds
        while True:
            try:
                self.chain_id()
                return
            except ChainUnreachable:
                if time.monotonic() >= end:
                    raise
                time.sleep(_POLL_SECONDS)

    def chain_id(self) -> int:
        """The id that the chain says it has."""
        return self.rpc.quantity("eth_chainId")

    def block(self) -> int:
        """The latest block's number."""
        return self.rpc.quantity("eth_blockNumber")

    def clock(self) -> int:
        """The latest block's time in Unix seconds: what deadlines on chain are compared with."""
        return self.rpc.parsed(lambda block: int(block["timestamp"], 16), "eth_getBlockByNumber", "latest", False)

    def balance(self, address: Address) -> int:
        """Wei of an account."""
        return self.rpc.quantity("eth_getBalance", address, "latest")

    def has_code(self, address: Address) -> bool:
        """Whether there is a contract."""
        return self.rpc.parsed(len, "eth_getCode", address, "latest") > 2

    def swarm(self, swarm_id: Digest) -> SwarmInfo | None:
        """The swarm with this id; None if there is none."""
        owner, policy, members, config = self._read(_SWARMS, "swarmOf", from_hex(swarm_id))
        if owner == NOBODY:
            return None
        return SwarmInfo(id=swarm_id, owner=owner, policy=POLICIES[policy], config=to_hex(config), members=members)

    def is_member(self, swarm_id: Digest, node_id: Address) -> bool:
        """Whether the Node is in the swarm now."""
        return self._read(_SWARMS, "isMember", from_hex(swarm_id), int(node_id, 16))

    def members(self, swarm_id: Digest) -> list[Member]:
        """The Nodes in the swarm now, in the order of their joining, rebuilt from the events."""
        joined, left, ejected = (_SWARMS.topic(name) for name in ("NodeJoined", "NodeLeft", "NodeEjected"))
        nodes: dict[Address, None] = {}
        for log in self.logs(self.deployment.swarm_registry, [[joined, left, ejected], swarm_id], 0):
            node = "0x" + log["topics"][2][-40:]
            if log["topics"][0] == joined:
                nodes[node] = None
            else:
                nodes.pop(node, None)
        registry = self.deployment.node_registry
        data = [to_hex(_NODES.call("keyOf", int(node, 16))) for node in nodes]
        answers = self.rpc.batch([("eth_call", [{"to": registry, "data": each}, "latest"]) for each in data])
        keys = [self._decode(registry, _NODES, "keyOf", answer) for answer in answers]
        return [Member(node_id=node, key=None if key == NOBODY else key) for node, key in zip(nodes, keys, strict=True)]

    def key_of(self, node_id: Address) -> Address | None:
        """The Node's current key; None if it has none or is not registered."""
        key = self._read(_NODES, "keyOf", int(node_id, 16))
        return None if key == NOBODY else key

    def node_of(self, key: Address) -> Address | None:
        """The Node whose current key this is; None if it is none's."""
        node = self._read(_NODES, "nodeOf", key)
        return f"0x{node:040x}" if node else None

    def key_nonce(self, key: Address) -> int:
        """The nonce of the key's next proof (KeyProof.nonce)."""
        return self._read(_NODES, "nonces", key)

    def next_round(self, swarm_id: Digest, node_id: Address) -> int:
        """The round that the Node's next attestation in this swarm must begin with."""
        return self._read(_RESOLVER, "nextRound", from_hex(swarm_id), int(node_id, 16))

    def attestations(
        self, swarm_id: Digest, from_block: int = 0, node_id: Address | None = None, *, gas: bool = False
    ) -> list[AttestedRounds]:
        """The attestations of a swarm, or of one Node in it, from a block on, in the chain's order, from the events.

        `gas`: ask for the gas of each transaction too.
        """
        topics: list[Any] = [_RESOLVER.topic("RoundsAttested"), swarm_id]
        if node_id is not None:
            topics.append("0x" + node_id[2:].rjust(64, "0"))
        found = [_attested(log) for log in self.logs(self.deployment.resolver, topics, from_block)]
        if not gas:
            return found
        receipts = self.rpc.batch([("eth_getTransactionReceipt", [each.tx_hash]) for each in found])
        used = [int(receipt["gasUsed"], 16) if receipt else None for receipt in receipts]
        return [each.model_copy(update={"gas_used": gas_used}) for each, gas_used in zip(found, used, strict=True)]

    def attestation(self, uid: Digest) -> AttestationData | None:
        """What one attestation says; None if EAS has none with this uid or it is not of our schema."""
        found = self.batch(uid)
        return None if found is None else found.data

    def batch(self, uid: Digest) -> Batch | None:
        """One attestation with its time; None as for `attestation`."""
        (found,) = self.full_attestations([uid])
        return None if found is None else found.batch()

    def full_attestations(self, uids: list[Digest]) -> list[Attestation | None]:
        """Attestations as EAS has them, in that order; None as for `attestation`."""
        eas = self.deployment.eas
        data = [to_hex(_EAS.call("getAttestation", from_hex(uid))) for uid in uids]
        answers = self.rpc.batch([("eth_call", [{"to": eas, "data": each}, "latest"]) for each in data])
        found = [self._decode(eas, _EAS, "getAttestation", answer) for answer in answers]
        return [Attestation.of(each) if to_hex(each[1]) == self.deployment.schema_uid else None for each in found]

    def head(self, swarm_id: Digest, node_id: Address) -> Digest:
        """The digest of the last attested record, which the Node's next record must name; zero before round 1."""
        return to_hex(self._read(_RESOLVER, "headOf", from_hex(swarm_id), int(node_id, 16)))

    def prove_round(self, uid: Digest, record: RoundRecord, proof: list[bytes]) -> bool:
        """Whether the attestation holds this record; `proof`: siblings from its digest up (merkle.proof)."""
        batch = self.batch(uid)
        return batch is not None and self._holds(uid, batch, record, proof)

    def prove_rollout(
        self, uid: Digest, record: RoundRecord, proof: list[bytes], rollout: bytes, position: int, size: int,
        rollout_proof: list[bytes],
    ) -> bool:  # fmt: skip
        """Whether the attestation holds this record, and the record this rollout's digest at `position` of `size`.

        For a rollout the contract completes the record itself: that it is this one, its answer for the round says.
        """
        batch = self.batch(uid)
        if batch is None or not self._holds(uid, batch, record, proof):
            return False
        claim = from_hex(uid), batch.arguments(), _body(record), rollout, position << 128 | size
        return self._read(_RESOLVER, "proveRollout", claim, [*rollout_proof, *proof])

    def _holds(self, uid: Digest, batch: Batch, record: RoundRecord, proof: list[bytes]) -> bool:
        return self._read(_RESOLVER, "proveRound", from_hex(uid), batch.arguments(), _record(record), proof)

    def _address(self, contract: Interface) -> Address:
        deployment = self.deployment
        return {
            "EAS": deployment.eas,
            "NodeRegistry": deployment.node_registry,
            "SwarmRegistry": deployment.swarm_registry,
            "RoundResolver": deployment.resolver,
        }[contract.name]

    def read(self, address: Address, contract: Interface, function: str, *arguments: Any) -> Any:
        """What a view of a contract returns; the first value of several."""
        call = {"to": address, "data": to_hex(contract.call(function, *arguments))}
        return self._decode(address, contract, function, self.rpc.request("eth_call", call, "latest"))

    def _read(self, contract: Interface, function: str, *arguments: Any) -> Any:
        return self.read(self._address(contract), contract, function, *arguments)

    def _decode(self, address: Address, contract: Interface, function: str, answer: str) -> Any:
        if answer == "0x":
            raise ChainRejected(
                "NotDeployed",
                f"there is no {contract.name} at {address} on chain {self.deployment.chain_id}: "
                "deploy the contracts first (python -m kubeswarm_contracts.deploy)",
            )
        try:
            return contract.result(function, bytes.fromhex(answer[2:]))[0]
        except (DecodingError, ValueError, TypeError) as error:
            raise ChainUnreachable(f"{self.rpc.name} answered {contract.name}.{function} with other data") from error

    def logs(
        self, address: Address | list[Address], topics: list[Any], from_block: int = 0, to_block: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Logs of one contract or several from a block on, in the chain's order, as JSON-RPC gives them.

        None matches any topic. `to_block`: the last one; None for the latest.
        """
        latest = self.block() if to_block is None else to_block
        start, size = max(from_block, self.deployment.block), LOG_BLOCKS
        while start <= latest:
            end = min(start + size - 1, latest)
            wanted = {"address": address, "topics": topics, "fromBlock": hex(start), "toBlock": hex(end)}
            try:
                yield from self.rpc.parsed(list, "eth_getLogs", wanted)
            except RpcError:
                if size == 1:
                    raise
                size = max(1, size // 2)
                continue
            start = end + 1


def _attested(log: dict[str, Any]) -> AttestedRounds:
    values = _RESOLVER.event("RoundsAttested", log)
    return AttestedRounds(
        uid=to_hex(values["uid"]),
        node_id=f"0x{values['nodeId']:040x}",
        first=values["firstRound"],
        last=values["lastRound"],
        root=to_hex(values["recordsRoot"]),
        block=int(log["blockNumber"], 16),
        tx_hash=log["transactionHash"],
    )


def _record(record: RoundRecord) -> tuple[Any, ...]:
    return (
        record.chain_id,
        record.registry,
        from_hex(record.swarm_id),
        int(record.node_id, 16),
        record.round,
        from_hex(record.previous),
        from_hex(record.config),
        from_hex(record.model_before),
        from_hex(record.model_after),
        from_hex(record.rollouts_root),
        record.samples,
        record.reward,
        record.tokens,
    )


def _body(record: RoundRecord) -> tuple[Any, ...]:
    """The record without its chain, registry and root of rollouts, its four numbers in one word."""
    numbers = struct.pack(">QQqQ", record.round, record.samples, record.reward, record.tokens)
    return (
        from_hex(record.swarm_id),
        int(record.node_id, 16),
        from_hex(record.previous),
        from_hex(record.config),
        from_hex(record.model_before),
        from_hex(record.model_after),
        int.from_bytes(numbers, "big"),
    )
