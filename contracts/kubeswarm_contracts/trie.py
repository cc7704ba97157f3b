"""Merkle-Patricia tries and block headers of Ethereum: what a block's hash says of an account's storage.

Yellow Paper (Wood), section 4 and appendix D; the proofs are those of eth_getProof (EIP-1186).
"""

from collections.abc import Sequence
from typing import Any

import rlp
from eth_utils.crypto import keccak
from rlp.exceptions import RLPException

#: A header's fields in their order: those from baseFeePerGas on came with forks, and each only after the one before.
HEADER_FIELDS = (
    *("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom"),
    *("difficulty", "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce"),
    *("baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash"),
)
_NUMBERS = {"difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas", "blobGasUsed", "excessBlobGas"}
_STATE_ROOT, _NUMBER, _TIME = (HEADER_FIELDS.index(name) for name in ("stateRoot", "number", "timestamp"))
_ACCOUNT_FIELDS = 4
_STORAGE_ROOT = 2
_BRANCH, _PATH = 17, 2


class BadProof(ValueError):
    """The nodes are no proof of anything under this root."""


def encode_header(block: dict[str, Any]) -> bytes:
    """A header as it is hashed, from a block as JSON-RPC gives it."""
    present = [name for name in HEADER_FIELDS if block.get(name) is not None]
    return bytes(rlp.encode([_field(name, block[name]) for name in present]))  # pyright: ignore[reportArgumentType]


def read_header(header: bytes) -> tuple[bytes, int, int]:
    """State root, number and time (Unix seconds) of an encoded header. Raises BadProof."""
    fields = _decoded(header)
    if not isinstance(fields, list) or len(fields) <= _TIME:
        raise BadProof("not a block's header")
    number, time = (int.from_bytes(_bytes(fields[place]), "big") for place in (_NUMBER, _TIME))
    return _bytes(fields[_STATE_ROOT]), number, time


def storage_value(
    state_root: bytes, address: bytes, slot: bytes, account: Sequence[bytes], storage: Sequence[bytes]
) -> int:
    """What the account at `address` (20 bytes) has in `slot` (32 bytes) under a state root; 0 for nothing.

    `account`, `storage`: the nodes of EIP-1186. Raises BadProof if they prove neither a value nor that there is none.
    """
    found = prove(state_root, keccak(address), account)
    fields = _decoded(found) if found else None
    if not isinstance(fields, list) or len(fields) != _ACCOUNT_FIELDS:
        raise BadProof("there is no such account")
    value = prove(fields[_STORAGE_ROOT], keccak(slot), storage)
    if not value:
        return 0
    number = _decoded(value)
    if not isinstance(number, bytes):
        raise BadProof("the slot's value is no number")
    return int.from_bytes(number, "big")


def prove(root: bytes, key: bytes, nodes: Sequence[bytes]) -> bytes:
    """The value at `key` under `root`; empty if the nodes prove that there is none. Raises BadProof."""
    path, wanted = _nibbles(key), root
    rest = list(nodes)
    node: Any = None
    while True:
        if node is None:
            if not rest or keccak(rest[0]) != wanted:
                raise BadProof("a node is missing, or not the one that its parent names")
            node = _decoded(rest.pop(0))
        if not isinstance(node, list):
            raise BadProof("not a node of a trie")
        if len(node) == _BRANCH:
            if not path:
                return _bytes(node[-1])
            following, path = node[path[0]], path[1:]
        elif len(node) == _PATH:
            piece, leaf = _unpacked(_bytes(node[0]))
            if path[: len(piece)] != piece:
                return b""
            path = path[len(piece) :]
            if leaf:
                return _bytes(node[1]) if not path else b""
            following = node[1]
        else:
            raise BadProof("not a node of a trie")
        if following == b"":
            return b""
        # A child of less than 32 bytes lies in its parent, a larger one is named by its hash.
        node, wanted = (following, b"") if isinstance(following, list) else (None, following)


def _unpacked(encoded: bytes) -> tuple[list[int], bool]:
    """Hex-prefix encoding: nibbles, and whether it is a leaf's."""
    digits = _nibbles(encoded)
    if len(digits) < 2 or digits[0] > 3:
        raise BadProof("not a path of a trie")
    return digits[2 - digits[0] % 2 :], digits[0] >= 2


def _nibbles(data: bytes) -> list[int]:
    return [digit for byte in data for digit in (byte >> 4, byte & 15)]


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise BadProof("not a node of a trie")
    return value


def _decoded(data: bytes) -> Any:
    try:
        return rlp.decode(data)
    except RLPException as error:
        raise BadProof(f"not RLP: {error}") from error


def _field(name: str, value: str) -> bytes:
    if name not in _NUMBERS:
        return bytes.fromhex(value[2:])
    number = int(value, 16)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
