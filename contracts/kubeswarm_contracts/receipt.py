"""Receipts: that a round, or one rollout of it, was attested, in a form that anyone can check with no chain at hand.

What is proven hangs on one number: the hash of a block. Whoever trusts that block (its chain's explorer, a light
client, a finalised checkpoint) needs to trust neither the Node nor who made the receipt.
"""

from collections.abc import Sequence
from typing import Any, Literal

from eth_abi.abi import encode
from eth_utils.crypto import keccak
from pydantic import Field

from kubeswarm_api import merkle
from kubeswarm_api.base import Model
from kubeswarm_api.encoding import from_hex, to_hex
from kubeswarm_api.errors import InvalidRecord
from kubeswarm_api.records import Address, Digest, RoundRecord, records_root
from kubeswarm_api.rollouts import Group, RolloutBatch
from kubeswarm_contracts import trie
from kubeswarm_contracts.attestation import Attestation
from kubeswarm_contracts.chain import Chain
from kubeswarm_contracts.errors import ChainRejected, ChainUnreachable
from kubeswarm_contracts.plan import SCHEMA
from kubeswarm_contracts.rpc import RpcError

#: Slot of RoundResolver.batches (contracts/snapshots/storage.json).
BATCHES_SLOT = 0
#: A chain may go on between a header and its proof.
_ATTEMPTS = 5
#: Longest path of a tree of 2**64 leaves.
_PATH = 64


class RolloutProof(Model):
    """One completion of a round. `model`: digest of the policy that sampled it; `switched_to`: of the one that went on
    with it, if one did. `group` holds this completion alone."""

    model: Digest
    switched_to: Digest | None = None
    group: Group
    position: int = Field(ge=0)
    size: int = Field(ge=1)
    path: list[Digest] = Field(
        max_length=_PATH, description="Siblings from its digest up to the record's rolloutsRoot."
    )


class StateProof(Model):
    """That the resolver has the attestation, in the state of one block. Hex of RLP."""

    header: str
    account: list[str]
    storage: list[str]


class Receipt(Model):
    """The receipt of a round, or of one rollout of it."""

    format: Literal["kubeswarm.dev/receipt/1"] = "kubeswarm.dev/receipt/1"
    chain_id: int = Field(ge=1, lt=2**64)
    node_registry: Address
    resolver: Address
    attestation: Attestation
    record: RoundRecord
    path: list[Digest] = Field(max_length=_PATH, description="Siblings from the record's digest up to recordsRoot.")
    rollout: RolloutProof | None = None
    state: StateProof


class Anchor(Model):
    """The block that a receipt hangs on."""

    number: int
    hash: Digest
    time: int


def make(
    chain: Chain,
    uid: Digest,
    records: Sequence[RoundRecord],
    round: int,
    rollouts: RolloutBatch | None,
    position: int = 0,
) -> Receipt:
    """The receipt of a round; with `rollouts`, those that it published, of the one at `position` of them.

    `records`: of all rounds of the attestation `uid`. Raises InvalidRecord where they are not what was attested,
    ChainError.
    """
    (attestation,) = chain.full_attestations([uid])
    if attestation is None:
        raise ChainRejected("NotAttested", f"there is no attestation {uid} of this swarm's schema", {"uid": uid})
    data = attestation.data
    numbers = [each.round for each in records]
    if numbers != list(range(data.first_round, data.last_round + 1)) or round not in numbers:
        raise InvalidRecord(f"attestation {uid} is of rounds {data.first_round} to {data.last_round}: give all of them")
    if to_hex(records_root(records)) != data.records_root:
        raise InvalidRecord(f"these records are not those that attestation {uid} holds")
    index = round - data.first_round
    where = chain.deployment
    return Receipt(
        chain_id=where.chain_id,
        node_registry=where.node_registry,
        resolver=where.resolver,
        attestation=attestation,
        record=records[index],
        path=_hexed(merkle.proof([each.digest() for each in records], index)),
        rollout=None if rollouts is None else _rollout(records[index], rollouts, position),
        state=_state(chain, uid),
    )


def check(receipt: Receipt) -> Anchor:
    """The block whose hash this receipt hangs on, if all of it is right. Raises InvalidRecord, saying what is not."""
    attestation, data, record = receipt.attestation, receipt.attestation.data, receipt.record
    schema = keccak(SCHEMA.encode() + from_hex(receipt.resolver, 20) + b"\0")
    _must(to_hex(schema) == attestation.schema_uid, "the attestation's schema is not the resolver's")
    _must(attestation.is_whole(), "the attestation's uid is not the hash of what it says")
    _must(
        (record.chain_id, record.registry) == (receipt.chain_id, receipt.node_registry),
        "the record is of another chain",
    )
    _must((record.swarm_id, record.node_id) == (data.swarm_id, data.node_id), "the record is of another Swarm or Node")
    _must(data.first_round <= record.round <= data.last_round, "the attestation does not hold this round")
    size, index = data.last_round - data.first_round + 1, record.round - data.first_round
    held = merkle.verify(record.digest(), index, size, _bytes(receipt.path), from_hex(data.records_root))
    _must(held, f"round {record.round}'s record is not in the attestation")
    if index == 0:
        _must(record.previous == data.previous, "the first record follows another one than the attestation says")
    if record.round == data.last_round:
        _must(to_hex(record.digest()) == data.head, "the last record is another one than the attestation says")
    if receipt.rollout is not None:
        _check_rollout(record, receipt.rollout)
    return _check_state(receipt)


def prove_on_chain(chain: Chain, receipt: Receipt) -> bool:
    """Whether the resolver itself, asked on its chain, says that it holds the round, and the rollout."""
    uid, record, path = receipt.attestation.uid, receipt.record, _bytes(receipt.path)
    if receipt.rollout is None:
        return chain.prove_round(uid, record, path)
    rollout = receipt.rollout
    where = rollout.position, rollout.size, _bytes(rollout.path)
    return chain.prove_rollout(uid, record, path, _leaf(record, rollout), *where)


def _rollout(record: RoundRecord, rollouts: RolloutBatch, position: int) -> RolloutProof:
    leaves = rollouts.leaves()
    if to_hex(merkle.root(leaves)) != record.rollouts_root:
        raise InvalidRecord(f"these rollouts are not those that round {record.round}'s record names")
    if not 0 <= position < len(leaves):
        raise InvalidRecord(f"round {record.round} has rollouts 0 to {len(leaves) - 1}")
    each = [(group, one) for group in rollouts.groups for one in group.completions]
    group, completion = each[position]
    return RolloutProof(
        model=rollouts.model,
        switched_to=rollouts.switched_to,
        group=group.model_copy(update={"completions": [completion]}),
        position=position,
        size=len(leaves),
        path=_hexed(merkle.proof(leaves, position)),
    )


def _leaf(record: RoundRecord, rollout: RolloutProof) -> bytes:
    named = {name: getattr(record, name) for name in ("swarm_id", "node_id", "round")}
    policies = {"model": rollout.model, "switched_to": rollout.switched_to}
    (leaf,) = RolloutBatch(**named, **policies, groups=[rollout.group]).leaves()
    return leaf


def _check_rollout(record: RoundRecord, rollout: RolloutProof) -> None:
    _must(len(rollout.group.completions) == 1, "a receipt is of one rollout")
    path, root = _bytes(rollout.path), from_hex(record.rollouts_root)
    held = merkle.verify(_leaf(record, rollout), rollout.position, rollout.size, path, root)
    _must(held, f"the rollout is not number {rollout.position} of round {record.round}")


def _check_state(receipt: Receipt) -> Anchor:
    proof, attestation = receipt.state, receipt.attestation
    try:
        header = bytes.fromhex(proof.header[2:])
        root, number, time = trie.read_header(header)
        nodes = [[bytes.fromhex(each[2:]) for each in part] for part in (proof.account, proof.storage)]
        found = trie.storage_value(root, from_hex(receipt.resolver, 20), _slot(attestation.uid), *nodes)
    except ValueError as error:
        raise InvalidRecord(f"the proof of the resolver's state is none: {error}") from error
    expected = int.from_bytes(_batch_digest(attestation), "big")
    _must(found == expected, f"the resolver did not have this attestation in block {number}")
    return Anchor(number=number, hash=to_hex(keccak(header)), time=time)


def _state(chain: Chain, uid: Digest) -> StateProof:
    """Raises ChainUnreachable if the chain does not prove its state, RpcError if it refuses to."""
    refused: RpcError | None = None
    for _ in range(_ATTEMPTS):
        block: Any = chain.rpc.request("eth_getBlockByNumber", "latest", False)
        asked = [chain.deployment.resolver, [to_hex(_slot(uid))], block["number"]]
        try:
            proof: Any = chain.rpc.request("eth_getProof", *asked)
        except RpcError as error:  # a new block came in between, where no old states are kept
            refused = error
            continue
        header = trie.encode_header(block)
        if to_hex(keccak(header)) != block["hash"]:
            raise ChainUnreachable(f"{chain.rpc.name}: its blocks have fields that this version does not know")
        (slot,) = proof["storageProof"]
        made = StateProof(header=to_hex(header), account=proof["accountProof"], storage=slot["proof"])
        if made.account and keccak(bytes.fromhex(made.account[0][2:])) == from_hex(block["stateRoot"]):
            return made
    if refused is not None:
        raise refused
    raise ChainUnreachable(f"{chain.rpc.name} gives no proof of its state (eth_getProof) that fits its blocks")


def _slot(uid: Digest) -> bytes:
    return keccak(from_hex(uid) + BATCHES_SLOT.to_bytes(32, "big"))


def _batch_digest(attestation: Attestation) -> bytes:
    """As RoundResolver._batchDigest."""
    data = attestation.data
    values = from_hex(data.swarm_id), int(data.node_id, 16), from_hex(data.records_root)
    types = ["bytes32", "uint256", "bytes32", "uint64", "uint64", "uint64", "uint64", "bytes32", "bytes32"]
    return keccak(encode(types, [*values, *attestation.batch().arguments()]))


def _must(holds: bool, message: str) -> None:
    if not holds:
        raise InvalidRecord(message)


def _hexed(path: Sequence[bytes]) -> list[Digest]:
    return [to_hex(each) for each in path]


def _bytes(path: Sequence[Digest]) -> list[bytes]:
    return [from_hex(each) for each in path]
