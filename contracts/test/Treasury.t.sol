// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RoundResolver} from "../src/RoundResolver.sol";
import {Treasury} from "../src/Treasury.sol";
import {ITreasury} from "../src/interfaces/ITreasury.sol";
import {IVerifier} from "../src/interfaces/IVerifier.sol";
import {PoolFixture} from "./harness/Pools.sol";
import {VM} from "./harness/Vm.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @notice Pools, from their opening until what remains goes back.
contract TreasuryTest is PoolFixture {
    function test_openPool() public {
        ITreasury.Terms memory terms = _terms(ETHER, ITreasury.Unit.MillionTokens, IVerifier(address(0)));
        bytes32 expected = keccak256(abi.encode(SPONSOR, SALT));
        VM.expectEmit(address(treasury));
        emit Treasury.PoolOpened(expected, swarmId, SPONSOR, terms);
        bytes32 poolId = _open(terms);
        VM.assertEq(poolId, expected);
        VM.assertEq(treasury.poolIdOf(SPONSOR, SALT), expected);
        Treasury.Pool memory pool = treasury.poolOf(poolId);
        VM.assertEq(pool.owner, SPONSOR);
        VM.assertEq(pool.swarmId, swarmId);
        VM.assertEq(address(pool.token), address(0));
        VM.assertEq(uint256(pool.unit), uint256(ITreasury.Unit.MillionTokens));
        VM.assertEq(pool.rate, RATE);
        VM.assertEq(pool.window, WINDOW);
        VM.assertEq(address(pool.verifier), address(0));
        VM.assertEq(pool.escrow, 0);
        VM.assertEq(pool.openedAt, block.timestamp);
        VM.assertEq(pool.stoppedAt, 0);
        VM.assertEq(address(treasury.NODES()), address(nodes));
    }

    function test_openPool_twiceReverts() public {
        bytes32 poolId = _etherPool();
        VM.prank(SPONSOR);
        VM.expectRevert(abi.encodeWithSelector(Treasury.PoolAlreadyExists.selector, poolId));
        treasury.openPool(SALT, _terms(ETHER, ITreasury.Unit.Round, IVerifier(address(0))));
    }

    function test_openPool_withoutRateOrWithALongWindowReverts() public {
        ITreasury.Terms memory terms = _terms(ETHER, ITreasury.Unit.Round, IVerifier(address(0)));
        terms.rate = 0;
        VM.expectRevert(abi.encodeWithSelector(Treasury.InvalidTerms.selector, 0, WINDOW));
        treasury.openPool(SALT, terms);
        terms.rate = 1;
        terms.window = 30 days + 1;
        VM.expectRevert(abi.encodeWithSelector(Treasury.InvalidTerms.selector, 1, 30 days + 1));
        treasury.openPool(SALT, terms);
        terms.window = 30 days;
        treasury.openPool(SALT, terms);
    }

    function testFuzz_fund_ether(uint128 first, uint128 second) public {
        VM.assume(first != 0 && second != 0 && second <= type(uint128).max - first);
        VM.deal(SPONSOR, uint256(first) + second);
        bytes32 poolId = _etherPool();
        VM.expectEmit(address(treasury));
        emit Treasury.PoolFunded(poolId, SPONSOR, first);
        _fundEther(poolId, first);
        _fundEther(poolId, second);
        VM.assertEq(treasury.poolOf(poolId).escrow, uint256(first) + second);
        VM.assertEq(address(treasury).balance, uint256(first) + second);
    }

    function test_fund_moreThanAPoolHoldsReverts() public {
        bytes32 poolId = _etherPool();
        uint256 tooMuch = uint256(type(uint128).max) + 1;
        VM.deal(SPONSOR, tooMuch);
        VM.prank(SPONSOR);
        VM.expectRevert(abi.encodeWithSelector(SafeCast.SafeCastOverflowedUintDowncast.selector, 128, tooMuch));
        treasury.fund{value: tooMuch}(poolId, tooMuch);
        _fundEther(poolId, type(uint128).max);
        VM.prank(SPONSOR);
        VM.expectRevert(abi.encodeWithSignature("Panic(uint256)", 0x11));
        treasury.fund{value: 1}(poolId, 1);
    }

    function test_fund_unknownPoolReverts() public {
        VM.expectRevert(abi.encodeWithSelector(Treasury.PoolNotFound.selector, NONE));
        treasury.fund(NONE, 1);
    }

    function test_fund_stoppedPoolReverts() public {
        bytes32 poolId = _etherPool();
        VM.prank(SPONSOR);
        treasury.stop(poolId);
        VM.prank(SPONSOR);
        VM.expectRevert(abi.encodeWithSelector(Treasury.PoolIsStopped.selector, poolId, block.timestamp));
        treasury.fund{value: 1}(poolId, 1);
    }

    function test_stop_leavesWhatWasEarned() public {
        bytes32 poolId = _etherPool();
        _fundEther(poolId, 1000);
        uint64 time = uint64(block.timestamp);
        RoundResolver.Rounds memory batch = _rounds(swarmId, nodeId, 1, 4, ROOT);
        bytes32 uid = _attest(key, batch);
        RoundResolver.Batch memory kept = _batchOf(batch);
        VM.expectEmit(address(treasury));
        emit Treasury.PoolStopped(poolId);
        VM.prank(SPONSOR);
        treasury.stop(poolId);
        VM.warp(time + 1);
        RoundResolver.Rounds memory late = _rounds(swarmId, nodeId, 5, 5, ROOT);
        bytes32 lateUid = _attest(key, late);
        RoundResolver.Batch memory lateKept = _batchOf(late);
        VM.warp(time + WINDOW + 30 days - 1);
        VM.prank(SPONSOR);
        VM.expectRevert(abi.encodeWithSelector(Treasury.NotReclaimable.selector, time + WINDOW + 30 days));
        treasury.reclaim(poolId);
        _expectRevert(
            poolId, lateUid, lateKept, abi.encodeWithSelector(Treasury.OutsidePool.selector, time + 1, time, time)
        );
        VM.prank(key);
        treasury.settle(poolId, nodeId, uid, ROOT, kept, 400);
        VM.warp(time + WINDOW + 30 days);
        VM.expectEmit(address(treasury));
        emit Treasury.PoolReclaimed(poolId, 600);
        VM.prank(SPONSOR);
        VM.assertEq(treasury.reclaim(poolId), 600);
        VM.assertEq(treasury.claimable(ETHER, SPONSOR), 600);
        VM.assertEq(treasury.poolOf(poolId).escrow, 0);
    }

    function test_stop_twiceOrByAStrangerReverts() public {
        bytes32 poolId = _etherPool();
        VM.expectRevert(abi.encodeWithSelector(Treasury.NotPoolOwner.selector, poolId, address(this)));
        treasury.stop(poolId);
        VM.prank(SPONSOR);
        treasury.stop(poolId);
        VM.prank(SPONSOR);
        VM.expectRevert(abi.encodeWithSelector(Treasury.PoolIsStopped.selector, poolId, block.timestamp));
        treasury.stop(poolId);
    }

    function test_reclaim_ofARunningPoolOrByAStrangerReverts() public {
        bytes32 poolId = _etherPool();
        VM.prank(SPONSOR);
        VM.expectRevert(abi.encodeWithSelector(Treasury.NotReclaimable.selector, 0));
        treasury.reclaim(poolId);
        VM.expectRevert(abi.encodeWithSelector(Treasury.NotPoolOwner.selector, poolId, address(this)));
        treasury.reclaim(poolId);
        VM.expectRevert(abi.encodeWithSelector(Treasury.PoolNotFound.selector, NONE));
        treasury.reclaim(NONE);
    }
}
