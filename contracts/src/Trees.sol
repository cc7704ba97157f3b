// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Merkle trees over SHA-256 digests
/// @notice The trees of Certificate Transparency (RFC 9162, section 2.1) with the number of leaves hashed in: a leaf is
/// sha256(0x00, digest), a node sha256(0x01, left, right), the root sha256(0x02, number of leaves, top). So leaves, nodes
/// and roots can't be passed off as one another, and a path proves one position only.
/// @dev `kubeswarm_api.merkle` makes the same trees.
library Trees {
    /// @notice The root to which `proof` leads from the leaf at `position` of `size` leaves; zero where it can't be a proof
    /// for that position (RFC 9162, section 2.1.3.2).
    /// @param leaf The digest at `position`.
    /// @param proof The siblings from the leaf up.
    function root(bytes32 leaf, uint256 position, uint256 size, bytes32[] calldata proof)
        internal
        view
        returns (bytes32)
    {
        if (position >= size || size > type(uint64).max) {
            return 0;
        }
        uint256 last = size - 1;
        uint256 used = 0;
        bytes32 node = _leaf(leaf);
        while (last != 0) {
            if (position & 1 == 1 || position < last) {
                if (used == proof.length) {
                    return 0;
                }
                bytes32 sibling = proof[used];
                ++used;
                node = position & 1 == 1 ? _parent(sibling, node) : _parent(node, sibling);
            }
            position >>= 1;
            last >>= 1;
        }
        return used == proof.length ? _sealed(size, node) : bytes32(0);
    }

    /// @dev The precompile is called from scratch memory: a proof of 1,000 leaves has ten of these steps.
    function _leaf(bytes32 digest) private view returns (bytes32 result) {
        assembly ("memory-safe") {
            mstore8(0, 0)
            mstore(1, digest)
            if iszero(staticcall(gas(), 2, 0, 33, 0, 32)) { revert(0, 0) }
            result := mload(0)
        }
    }

    function _parent(bytes32 left, bytes32 right) private view returns (bytes32 result) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore8(free, 1)
            mstore(add(free, 1), left)
            mstore(add(free, 33), right)
            if iszero(staticcall(gas(), 2, free, 65, 0, 32)) { revert(0, 0) }
            result := mload(0)
        }
    }

    function _sealed(uint256 size, bytes32 top) private view returns (bytes32 result) {
        assembly ("memory-safe") {
            mstore8(0, 2)
            mstore(1, shl(192, size))
            mstore(9, top)
            if iszero(staticcall(gas(), 2, 0, 41, 0, 32)) { revert(0, 0) }
            result := mload(0)
        }
    }
}
