// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Merkle trees over SHA-256 digests
/// @notice The trees of Certificate Transparency (RFC 9162, section 2.1) with the number of leaves hashed in: a leaf is
/// sha256(0x00, digest), a node sha256(0x01, left, right), the root sha256(0x02, number of leaves, top). So leaves, nodes
/// and roots can't be passed off as one another, and a path proves one position only.
/// @dev `kubeswarm_api.merkle` makes the same trees.
library Trees {
    /// @notice The root to which the first of `proof` lead from the leaf at `position` of `size` leaves (RFC 9162, section
    /// 2.1.3.2), and those of `proof` that are left; zero, and all, where there is no such position.
    /// @dev Only where in the end none is left is it a proof: if `proof` has too few, what follows in the calldata is read
    /// in their place, and the length of the rest falls below zero, to what no array's is, also after another such step.
    /// @param leaf The digest at `position`.
    /// @param proof The siblings from the leaf up.
    function root(bytes32 leaf, uint256 position, uint256 size, bytes32[] calldata proof)
        internal
        view
        returns (bytes32 result, bytes32[] calldata rest)
    {
        rest = proof;
        // A node is hashed with its sibling from the 65 bytes at `pair`: 1, left, right. Its own hash is written where the
        // next level wants it, by the lowest bit of its position there, which is kept at the place of 32.
        assembly ("memory-safe") {
            if iszero(or(shr(64, size), iszero(lt(position, size)))) {
                let pair := mload(0x40)
                let left := add(pair, 1)
                let right := add(pair, 33)
                let both := add(left, right)
                let sibling := proof.offset
                let side := shl(5, position)
                let node := add(left, and(side, 32))
                mstore8(0, 0)
                mstore(1, leaf)
                let done := staticcall(gas(), 2, 0, 33, node, 32)
                mstore8(pair, 1)
                // Below where the node is the last of its level, it has a sibling on each,
                for { let apart := xor(position, sub(size, 1)) } apart { apart := shr(1, apart) } {
                    mstore(sub(both, node), calldataload(sibling))
                    sibling := add(sibling, 32)
                    side := shr(1, side)
                    node := add(left, and(side, 32))
                    done := and(staticcall(gas(), 2, pair, 65, node, 32), done)
                }
                // and above only on the left.
                mstore(right, mload(node))
                for {} gt(side, 31) { side := shr(1, side) } {
                    if and(side, 32) {
                        mstore(left, calldataload(sibling))
                        sibling := add(sibling, 32)
                        done := and(staticcall(gas(), 2, pair, 65, right, 32), done)
                    }
                }
                mstore8(0, 2)
                mstore(1, shl(192, size))
                mstore(9, mload(right))
                if iszero(and(staticcall(gas(), 2, 0, 41, 0, 32), done)) { revert(0, 0) }
                result := mload(0)
                rest.offset := sibling
                rest.length := sub(proof.length, shr(5, sub(sibling, proof.offset)))
            }
        }
    }
}
