// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice Builds trees as the attestor does, in other words than the code under test: RFC 9162's trees, level by level,
/// with the number of leaves hashed in with the top.
library Tree {
    function root(bytes32[] memory leaves) internal pure returns (bytes32) {
        if (leaves.length == 0) {
            return bytes32(0);
        }
        bytes32[] memory level = _bottom(leaves);
        while (level.length > 1) {
            level = _above(level);
        }
        return sha256(abi.encodePacked(uint8(2), uint64(leaves.length), level[0]));
    }

    function proof(bytes32[] memory leaves, uint256 position) internal pure returns (bytes32[] memory siblings) {
        bytes32[] memory found = new bytes32[](32);
        uint256 count = 0;
        bytes32[] memory level = _bottom(leaves);
        while (level.length > 1) {
            uint256 sibling = position ^ 1;
            if (sibling < level.length) {
                found[count++] = level[sibling];
            }
            level = _above(level);
            position /= 2;
        }
        siblings = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            siblings[i] = found[i];
        }
    }

    /// @notice A path that goes on in a tree above.
    function join(bytes32[] memory lower, bytes32[] memory upper) internal pure returns (bytes32[] memory path) {
        path = new bytes32[](lower.length + upper.length);
        for (uint256 i = 0; i < path.length; ++i) {
            path[i] = i < lower.length ? lower[i] : upper[i - lower.length];
        }
    }

    function parent(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(uint8(1), left, right));
    }

    function leaf(bytes32 digest) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(uint8(0), digest));
    }

    function _bottom(bytes32[] memory leaves) private pure returns (bytes32[] memory level) {
        level = new bytes32[](leaves.length);
        for (uint256 i = 0; i < level.length; ++i) {
            level[i] = leaf(leaves[i]);
        }
    }

    function _above(bytes32[] memory level) private pure returns (bytes32[] memory parents) {
        parents = new bytes32[]((level.length + 1) / 2);
        for (uint256 i = 0; i < parents.length; ++i) {
            parents[i] = 2 * i + 1 < level.length ? parent(level[2 * i], level[2 * i + 1]) : level[2 * i];
        }
    }
}
