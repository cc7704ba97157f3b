// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RoundResolver} from "../../src/RoundResolver.sol";
import {ITreasury} from "../../src/interfaces/ITreasury.sol";
import {IVerifier} from "../../src/interfaces/IVerifier.sol";
import {Fixture} from "./Fixture.sol";
import {VM} from "./Vm.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @notice A sponsor whose pools pay a Node for its rounds, and the steps that tests of it share.
abstract contract PoolFixture is Fixture {
    IERC20 internal constant ETHER = IERC20(address(0));
    bytes32 internal constant ROOT = keccak256("root");
    bytes32 internal constant NONE = keccak256("none");
    uint32 internal constant WINDOW = 1 hours;
    uint128 internal constant RATE = 100;
    address internal constant SPONSOR = address(0x5907);

    bytes32 internal swarmId;
    uint256 internal nodeId;
    address internal key;

    function setUp() public override {
        super.setUp();
        (swarmId, nodeId) = _member(KEY);
        key = VM.addr(KEY);
        VM.deal(SPONSOR, 1e36);
    }

    function _terms(IERC20 token, ITreasury.Unit unit, IVerifier verifier)
        internal
        view
        returns (ITreasury.Terms memory)
    {
        return ITreasury.Terms({
            swarmId: swarmId, token: token, unit: unit, rate: RATE, window: WINDOW, verifier: verifier
        });
    }

    function _open(ITreasury.Terms memory terms) internal returns (bytes32) {
        VM.prank(SPONSOR);
        return treasury.openPool(SALT, terms);
    }

    function _etherPool() internal returns (bytes32) {
        return _open(_terms(ETHER, ITreasury.Unit.Round, IVerifier(address(0))));
    }

    function _fundEther(bytes32 poolId, uint256 amount) internal {
        VM.prank(SPONSOR);
        treasury.fund{value: amount}(poolId, amount);
    }

    function _tokenPool(IERC20 token, uint256 amount) internal returns (bytes32 poolId) {
        poolId = _open(_terms(token, ITreasury.Unit.Round, IVerifier(address(0))));
        VM.prank(SPONSOR);
        // Not every token returns what the standard says.
        (bool done,) = address(token).call(abi.encodeCall(token.approve, (address(treasury), type(uint256).max)));
        VM.assertTrue(done);
        VM.prank(SPONSOR);
        treasury.fund(poolId, amount);
    }

    function _settleNow(bytes32 poolId, RoundResolver.Rounds memory batch) internal returns (uint256) {
        bytes32 uid = _attest(key, batch);
        RoundResolver.Batch memory kept = _batchOf(batch);
        VM.warp(block.timestamp + WINDOW);
        VM.prank(key);
        return treasury.settle(poolId, nodeId, uid, ROOT, kept, 0);
    }

    function _expectRevert(bytes32 poolId, bytes32 uid, RoundResolver.Batch memory batch, bytes memory reason)
        internal
    {
        VM.prank(key);
        VM.expectRevert(reason);
        treasury.settle(poolId, nodeId, uid, ROOT, batch, 0);
    }
}
