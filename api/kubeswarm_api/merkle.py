"""Merkle trees over 32-byte digests: those of Certificate Transparency (RFC 9162, section 2.1), with the size bound in.

A leaf is sha256(0x00 || digest), a node sha256(0x01 || left || right), a node without a partner moves up unchanged;
the root is sha256(0x02 || size as 8 bytes || top). The three first bytes keep leaves, nodes and roots apart, and the
size in the root makes a path mean one position and no other. Contracts check the same trees (contracts/src/Trees.sol).
"""

from collections.abc import Sequence

from kubeswarm_api.encoding import DIGEST_BYTES, ZERO_DIGEST, digest

_LEAF, _NODE, _ROOT = b"\x00", b"\x01", b"\x02"


def _above(level: Sequence[bytes]) -> list[bytes]:
    pairs = [digest(_NODE + level[i] + level[i + 1]) for i in range(0, len(level) - 1, 2)]
    return [*pairs, level[-1]] if len(level) % 2 else pairs


def _bottom(leaves: Sequence[bytes]) -> list[bytes]:
    for position, leaf in enumerate(leaves):
        if len(leaf) != DIGEST_BYTES:
            raise ValueError(f"leaf {position} has {len(leaf)} bytes instead of {DIGEST_BYTES}")
    return [digest(_LEAF + leaf) for leaf in leaves]


def _sealed(size: int, top: bytes) -> bytes:
    return digest(_ROOT + size.to_bytes(8, "big") + top)


def root(leaves: Sequence[bytes]) -> bytes:
    """The root: 32 zero bytes without leaves."""
    if not leaves:
        return ZERO_DIGEST
    level = _bottom(leaves)
    while len(level) > 1:
        level = _above(level)
    return _sealed(len(leaves), level[0])


def proof(leaves: Sequence[bytes], position: int) -> list[bytes]:
    """The siblings from the leaf at `position` up to the root. Raises IndexError outside the leaves."""
    level = _bottom(leaves)
    if not 0 <= position < len(leaves):
        raise IndexError(f"position {position} is outside the {len(leaves)} leaves")
    siblings: list[bytes] = []
    while len(level) > 1:
        sibling = position ^ 1
        if sibling < len(level):
            siblings.append(level[sibling])
        level, position = _above(level), position // 2
    return siblings


def verify(leaf: bytes, position: int, size: int, siblings: Sequence[bytes], expected_root: bytes) -> bool:
    """Whether `leaf` is at `position` of the `size` leaves under `expected_root` (RFC 9162, section 2.1.3.2)."""
    if not 0 <= position < size < 2**64:
        return False
    node, last, rest = digest(_LEAF + leaf), size - 1, list(siblings)
    while last:
        if position % 2 or position < last:
            if not rest:
                return False
            sibling = rest.pop(0)
            node = digest(_NODE + sibling + node if position % 2 else _NODE + node + sibling)
        position, last = position // 2, last // 2
    return not rest and _sealed(size, node) == expected_root
