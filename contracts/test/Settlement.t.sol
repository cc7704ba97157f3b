// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {PullPayments} from "../src/PullPayments.sol";
import {RoundResolver} from "../src/RoundResolver.sol";
import {Treasury} from "../src/Treasury.sol";
import {ITreasury} from "../src/interfaces/ITreasury.sol";
import {IVerifier} from "../src/interfaces/IVerifier.sol";
import {Verifier} from "./harness/Doubles.sol";
import {PoolFixture} from "./harness/Pools.sol";
import {VM} from "./harness/Vm.sol";

/// @notice What an attestation earns, to whom it goes, and what is not paid.
contract SettlementTest is PoolFixture {
    function testFuzz_settle_paysByTheRound(uint64 rounds, uint128 escrow) public {
        rounds = rounds % 1024 + 1;
        VM.assume(escrow != 0);
        VM.deal(SPONSOR, escrow);
        bytes32 poolId = _etherPool();
        _fundEther(poolId, escrow);
        uint256 due = uint256(rounds) * RATE;
        uint256 expected = due < escrow ? due : escrow;
        RoundResolver.Rounds memory batch = _rounds(swarmId, nodeId, 1, rounds, ROOT);
        bytes32 uid = _attest(key, batch);
        RoundResolver.Batch memory kept = _batchOf(batch);
        VM.warp(block.timestamp + WINDOW);
        VM.expectEmit(address(treasury));
        emit PullPayments.Credited(ETHER, key, expected);
        VM.expectEmit(address(treasury));
        emit Treasury.RoundsSettled(poolId, nodeId, uid, key, rounds, due, expected);
        VM.prank(key);
        VM.assertEq(treasury.settle(poolId, nodeId, uid, ROOT, kept, 0), expected);
        VM.assertEq(treasury.claimable(ETHER, key), expected);
        VM.assertEq(treasury.poolOf(poolId).escrow, escrow - expected);
        VM.assertEq(treasury.settledRound(poolId, nodeId), rounds);
    }

    function testFuzz_settle_paysByTheToken(uint64 tokens, uint96 rate) public {
        VM.assume(rate != 0);
        ITreasury.Terms memory terms = _terms(ETHER, ITreasury.Unit.MillionTokens, IVerifier(address(0)));
        terms.rate = rate;
        bytes32 poolId = _open(terms);
        VM.deal(SPONSOR, type(uint128).max);
        _fundEther(poolId, type(uint128).max);
        RoundResolver.Rounds memory batch = _rounds(swarmId, nodeId, 1, 4, ROOT);
        batch.tokens = tokens;
        uint256 due = uint256(tokens) * rate / 1e6;
        VM.assume(due <= type(uint128).max);
        VM.assertEq(_settleNow(poolId, batch), due);
    }

    function test_settle_goesToTheOwnerOfTheNode() public {
        bytes32 poolId = _etherPool();
        _fundEther(poolId, 1000);
        address owner = address(0x0113);
        VM.prank(key);
        nodes.approve(owner, nodeId);
        RoundResolver.Rounds memory batch = _rounds(swarmId, nodeId, 1, 4, ROOT);
        bytes32 uid = _attest(key, batch);
        RoundResolver.Batch memory kept = _batchOf(batch);
        VM.prank(key);
        nodes.transferFrom(key, owner, nodeId);
        VM.warp(block.timestamp + WINDOW);
        VM.prank(key);
        VM.expectRevert(abi.encodeWithSelector(Treasury.NotInControl.selector, nodeId, key));
        treasury.settle(poolId, nodeId, uid, ROOT, kept, 0);
        VM.prank(owner);
        treasury.settle(poolId, nodeId, uid, ROOT, kept, 400);
        VM.assertEq(treasury.claimable(ETHER, owner), 400);
    }

    function test_settle_unknownPoolReverts() public {
        RoundResolver.Batch memory batch;
        VM.expectRevert(abi.encodeWithSelector(Treasury.PoolNotFound.selector, NONE));
        treasury.settle(NONE, nodeId, 0, 0, batch, 0);
    }

    function test_settle_whatWasNotAttestedReverts() public {
        bytes32 poolId = _etherPool();
        RoundResolver.Rounds memory batch = _rounds(swarmId, nodeId, 1, 4, ROOT);
        bytes32 uid = _attest(key, batch);
        RoundResolver.Batch memory kept = _batchOf(batch);
        VM.warp(block.timestamp + WINDOW);
        kept.tokens += 1;
        _expectRevert(poolId, uid, kept, abi.encodeWithSelector(Treasury.NotAttested.selector, uid));
        kept.tokens -= 1;
        _expectRevert(poolId, 0, kept, abi.encodeWithSelector(Treasury.NotAttested.selector, bytes32(0)));
        VM.prank(key);
        VM.expectRevert(abi.encodeWithSelector(Treasury.NotAttested.selector, uid));
        treasury.settle(poolId, nodeId, uid, "other root", kept, 0);
    }

    function test_settle_inAnotherSwarmsPoolReverts() public {
        ITreasury.Terms memory terms = _terms(ETHER, ITreasury.Unit.Round, IVerifier(address(0)));
        terms.swarmId = "other";
        bytes32 poolId = _open(terms);
        RoundResolver.Rounds memory batch = _rounds(swarmId, nodeId, 1, 4, ROOT);
        bytes32 uid = _attest(key, batch);
        RoundResolver.Batch memory kept = _batchOf(batch);
        VM.warp(block.timestamp + WINDOW);
        _expectRevert(poolId, uid, kept, abi.encodeWithSelector(Treasury.NotAttested.selector, uid));
    }

    function test_settle_beforeTheWindowHasPassedReverts() public {
        bytes32 poolId = _etherPool();
        RoundResolver.Rounds memory batch = _rounds(swarmId, nodeId, 1, 4, ROOT);
        bytes32 uid = _attest(key, batch);
        RoundResolver.Batch memory kept = _batchOf(batch);
        uint256 until = block.timestamp + WINDOW;
        VM.warp(until - 1);
        _expectRevert(poolId, uid, kept, abi.encodeWithSelector(Treasury.WindowOpen.selector, until));
    }

    function test_settle_twiceReverts() public {
        bytes32 poolId = _etherPool();
        _fundEther(poolId, 1000);
        uint64[2][2] memory ranges = [[uint64(1), 4], [uint64(5), 5]];
        for (uint256 i = 0; i < ranges.length; ++i) {
            RoundResolver.Rounds memory batch = _rounds(swarmId, nodeId, ranges[i][0], ranges[i][1], ROOT);
            bytes32 uid = _attest(key, batch);
            RoundResolver.Batch memory kept = _batchOf(batch);
            VM.warp(block.timestamp + WINDOW);
            VM.prank(key);
            treasury.settle(poolId, nodeId, uid, ROOT, kept, 0);
            _expectRevert(poolId, uid, kept, abi.encodeWithSelector(Treasury.AlreadySettled.selector, ranges[i][1]));
        }
        VM.assertEq(treasury.claimable(ETHER, key), 500);
    }

    function test_settle_whatWasAttestedBeforeTheOpeningReverts() public {
        RoundResolver.Rounds memory batch = _rounds(swarmId, nodeId, 1, 4, ROOT);
        bytes32 uid = _attest(key, batch);
        RoundResolver.Batch memory kept = _batchOf(batch);
        uint64 time = uint64(block.timestamp);
        VM.warp(time + 1);
        bytes32 poolId = _etherPool();
        VM.warp(time + WINDOW);
        _expectRevert(poolId, uid, kept, abi.encodeWithSelector(Treasury.OutsidePool.selector, time, time + 1, 0));
    }

    function test_settle_lessThanIsDueOnlyIfTheSenderTakesIt() public {
        bytes32 poolId = _etherPool();
        _fundEther(poolId, 150);
        RoundResolver.Rounds memory batch = _rounds(swarmId, nodeId, 1, 4, ROOT);
        bytes32 uid = _attest(key, batch);
        RoundResolver.Batch memory kept = _batchOf(batch);
        VM.warp(block.timestamp + WINDOW);
        VM.prank(key);
        VM.expectRevert(abi.encodeWithSelector(Treasury.EscrowShort.selector, 400, 150));
        treasury.settle(poolId, nodeId, uid, ROOT, kept, 151);
        VM.prank(key);
        VM.assertEq(treasury.settle(poolId, nodeId, uid, ROOT, kept, 150), 150);
    }

    function test_verifier_nothingIsPaidBeforeItDecides() public {
        Verifier verifier = new Verifier();
        bytes32 poolId = _open(_terms(ETHER, ITreasury.Unit.Round, verifier));
        _fundEther(poolId, 1000);
        RoundResolver.Rounds memory batch = _rounds(swarmId, nodeId, 1, 4, ROOT);
        bytes32 uid = _attest(key, batch);
        RoundResolver.Batch memory kept = _batchOf(batch);
        VM.warp(block.timestamp + WINDOW);
        _expectRevert(poolId, uid, kept, abi.encodeWithSelector(Treasury.NotDecided.selector, uid));
        verifier.decide(uid, 3, 0);
        VM.prank(key);
        VM.assertEq(treasury.settle(poolId, nodeId, uid, ROOT, kept, 0), 300);
    }

    function testFuzz_verifier_isPaidNoMoreThanWasAttested(uint64 rounds, uint64 tokens, bool byTokens) public {
        Verifier verifier = new Verifier();
        ITreasury.Terms memory terms =
            _terms(ETHER, byTokens ? ITreasury.Unit.MillionTokens : ITreasury.Unit.Round, verifier);
        terms.rate = 1e6;
        bytes32 poolId = _open(terms);
        _fundEther(poolId, 1e30);
        RoundResolver.Rounds memory batch = _rounds(swarmId, nodeId, 1, 4, ROOT);
        bytes32 uid = _attest(key, batch);
        RoundResolver.Batch memory kept = _batchOf(batch);
        verifier.decide(uid, rounds, tokens);
        VM.warp(block.timestamp + WINDOW);
        uint256 expected = byTokens ? (tokens < 2000 ? tokens : 2000) : (rounds < 4 ? rounds : 4) * uint256(1e6);
        VM.prank(key);
        VM.assertEq(treasury.settle(poolId, nodeId, uid, ROOT, kept, 0), expected);
    }
}
