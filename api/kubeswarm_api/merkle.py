"""Merkle trees over 32-byte digests, with sorted pairs: what OpenZeppelin's MerkleProof verifies with a SHA-256 hasher.

Leaves keep their order; a parent is sha256(min || max); a node without a partner is promoted unchanged. Leaves must
be digests of something that is never 64 bytes long, or an inner node could be passed off as a leaf.
"""

from collections.abc import Sequence

from kubeswarm_api.encoding import DIGEST_BYTES, ZERO_DIGEST, digest


def parent(left: bytes, right: bytes) -> bytes:
    """The digest of two siblings, in either order."""
    return digest(left + right if left <= right else right + left)


def _above(level: Sequence[bytes]) -> list[bytes]:
    pairs = [parent(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    return [*pairs, level[-1]] if len(level) % 2 else pairs


def _check(leaves: Sequence[bytes]) -> None:
    for position, leaf in enumerate(leaves):
        if len(leaf) != DIGEST_BYTES:
            raise ValueError(f"leaf {position} has {len(leaf)} bytes instead of {DIGEST_BYTES}")


def root(leaves: Sequence[bytes]) -> bytes:
    """The root: 32 zero bytes without leaves, the leaf itself for one."""
    _check(leaves)
    if not leaves:
        return ZERO_DIGEST
    level = list(leaves)
    while len(level) > 1:
        level = _above(level)
    return level[0]


def proof(leaves: Sequence[bytes], position: int) -> list[bytes]:
    """The siblings from the leaf at `position` up to the root. Raises IndexError outside the leaves."""
    _check(leaves)
    if not 0 <= position < len(leaves):
        raise IndexError(f"position {position} is outside the {len(leaves)} leaves")
    siblings: list[bytes] = []
    level = list(leaves)
    while len(level) > 1:
        sibling = position ^ 1
        if sibling < len(level):
            siblings.append(level[sibling])
        level, position = _above(level), position // 2
    return siblings


def verify(leaf: bytes, siblings: Sequence[bytes], expected_root: bytes) -> bool:
    """Whether `siblings` lead from `leaf` to `expected_root`."""
    node = leaf
    for sibling in siblings:
        node = parent(node, sibling)
    return node == expected_root
