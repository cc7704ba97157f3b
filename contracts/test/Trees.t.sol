// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Trees} from "../src/Trees.sol";
import {Tree} from "./harness/Tree.sol";
import {VM} from "./harness/Vm.sol";

/// @notice Trees of any size and paths of any length, against RFC 9162's own words.
contract TreesTest {
    function root(bytes32 leaf, uint256 position, uint256 size, bytes32[] calldata proof)
        external
        view
        returns (bytes32 result, uint256 left)
    {
        bytes32[] calldata rest;
        (result, rest) = Trees.root(leaf, position, size, proof);
        return (result, rest.length);
    }

    function testFuzz_root_isThatOfTheStandard(bytes32 leaf, uint64 position, uint64 size, uint8 shift, uint8 more)
        public
        view
    {
        size = size >> (shift % 64);
        position = size == 0 ? position : position % size;
        bytes32[] memory proof = new bytes32[](64 + more % 4);
        for (uint256 i = 0; i < proof.length; ++i) {
            proof[i] = sha256(abi.encode(leaf, i));
        }
        (bytes32 expected, uint256 used) = _standard(leaf, position, size, proof);
        (bytes32 result, uint256 left) = this.root(leaf, position, size, proof);
        VM.assertEq(result, expected);
        VM.assertEq(left, proof.length - used);
    }

    /// @dev What follows a proof in the calldata counts for nothing, whatever it is.
    function testFuzz_root_ofTooFewSiblingsLeavesNoLength(uint64 position, uint64 size, uint256 given) public view {
        size = size == 0 ? 1 : size;
        position = position % size;
        bytes32[] memory proof = new bytes32[](64);
        (bytes32 expected, uint256 used) = _standard("leaf", position, size, proof);
        VM.assume(used > 0);
        given = given % used;
        bytes memory data = abi.encodeCall(this.root, ("leaf", position, size, proof));
        assembly ("memory-safe") {
            mstore(add(data, 164), given) // 32 of its own length, 4 of the selector, 4 words of arguments
        }
        (bool done, bytes memory answer) = address(this).staticcall(data);
        VM.assertTrue(done);
        (bytes32 result, uint256 left) = abi.decode(answer, (bytes32, uint256));
        VM.assertEq(result, expected);
        VM.assertTrue(left > type(uint256).max - 64, "no array is that long");
    }

    function test_root_ofNoPositionIsZeroAndTakesNothing() public view {
        bytes32[] memory proof = new bytes32[](3);
        uint256 most = type(uint64).max;
        uint256[2][6] memory none =
            [[uint256(0), 0], [uint256(1), 1], [uint256(5), 4], [most, most], [0, most + 1], [type(uint256).max, 3]];
        for (uint256 i = 0; i < none.length; ++i) {
            (bytes32 result, uint256 left) = this.root("leaf", none[i][0], none[i][1], proof);
            VM.assertEq(result, bytes32(0));
            VM.assertEq(left, 3);
        }
    }

    /// @dev RFC 9162, section 2.1.3.2, and how many siblings it takes.
    function _standard(bytes32 leaf, uint64 position, uint64 size, bytes32[] memory proof)
        private
        pure
        returns (bytes32, uint256)
    {
        if (position >= size) {
            return (0, 0);
        }
        (bytes32 node, uint64 last, uint256 used) = (Tree.leaf(leaf), size - 1, 0);
        for (; last != 0; last /= 2) {
            if (position % 2 == 1) {
                node = Tree.parent(proof[used++], node);
            } else if (position < last) {
                node = Tree.parent(node, proof[used++]);
            }
            position /= 2;
        }
        return (sha256(abi.encodePacked(uint8(2), size, node)), used);
    }
}
