// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {PullPayments} from "../src/PullPayments.sol";
import {RoundResolver} from "../src/RoundResolver.sol";
import {Treasury} from "../src/Treasury.sol";
import {ITreasury} from "../src/interfaces/ITreasury.sol";
import {IVerifier} from "../src/interfaces/IVerifier.sol";
import {NoReceiver, Verifier} from "./harness/Doubles.sol";
import {Fixture} from "./harness/Fixture.sol";
import {CallingToken, EmptyToken, FeeToken, RefusingToken, SilentToken, Token} from "./harness/Tokens.sol";
import {VM} from "./harness/Vm.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

contract TreasuryTest is Fixture {
    bytes private constant REENTERED = abi.encodePacked(bytes4(keccak256("ReentrancyGuardReentrantCall()")));
    IERC20 private constant ETHER = IERC20(address(0));
    bytes32 private constant ROOT = keccak256("root");
    bytes32 private constant NONE = keccak256("none");
    uint32 private constant WINDOW = 1 hours;
    uint128 private constant RATE = 100;
    address private constant SPONSOR = address(0x5907);

    bytes32 private swarmId;
    uint256 private nodeId;
    address private key;

    function setUp() public override {
        super.setUp();
        (swarmId, nodeId) = _member(KEY);
        key = VM.addr(KEY);
        VM.deal(SPONSOR, 1e36);
    }

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

    function test_fund_wrongValueReverts() public {
        bytes32 poolId = _etherPool();
        VM.prank(SPONSOR);
        VM.expectRevert(abi.encodeWithSelector(PullPayments.WrongValue.selector, 5, 4));
        treasury.fund{value: 4}(poolId, 5);
        Token token = new Token();
        VM.prank(SPONSOR);
        poolId = treasury.openPool("other", _terms(token, ITreasury.Unit.Round, IVerifier(address(0))));
        VM.prank(SPONSOR);
        VM.expectRevert(abi.encodeWithSelector(PullPayments.WrongValue.selector, 0, 5));
        treasury.fund{value: 5}(poolId, 5);
    }

    function test_fund_nothingReverts() public {
        bytes32 poolId = _etherPool();
        VM.expectRevert(abi.encodeWithSelector(PullPayments.NothingReceived.selector, address(0)));
        treasury.fund(poolId, 0);
    }

    function test_fund_moreThanAPoolHoldsReverts() public {
        bytes32 poolId = _etherPool();
        uint256 tooMuch = uint256(type(uint128).max) + 1;
        VM.deal(SPONSOR, tooMuch);
        VM.prank(SPONSOR);
        VM.expectRevert(abi.encodeWithSelector(SafeCast.SafeCastOverflowedUintDowncast.selector, 128, tooMuch));
        treasury.fund{value: tooMuch}(poolId, tooMuch);
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

    function test_fund_countsWhatArrivesOfATokenThatKeepsAFee() public {
        FeeToken token = new FeeToken();
        token.mint(SPONSOR, 1000);
        bytes32 poolId = _tokenPool(token, 1000);
        VM.assertEq(treasury.poolOf(poolId).escrow, 990);
        VM.assertEq(token.balanceOf(address(treasury)), 990);
    }

    function test_fund_tokenThatReturnsNothing() public {
        SilentToken token = new SilentToken();
        token.mint(SPONSOR, 1000);
        bytes32 poolId = _tokenPool(IERC20(address(token)), 1000);
        _earn(poolId, 1, 4);
        VM.prank(key);
        treasury.claim(IERC20(address(token)));
        VM.assertEq(token.balanceOf(key), 400);
    }

    function test_fund_tokenThatRefusesReverts() public {
        RefusingToken token = new RefusingToken();
        VM.prank(SPONSOR);
        bytes32 poolId = treasury.openPool(SALT, _terms(token, ITreasury.Unit.Round, IVerifier(address(0))));
        VM.prank(SPONSOR);
        VM.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, token));
        treasury.fund(poolId, 5);
    }

    function test_fund_tokenThatMovesNothingReverts() public {
        EmptyToken token = new EmptyToken();
        VM.prank(SPONSOR);
        bytes32 poolId = treasury.openPool(SALT, _terms(token, ITreasury.Unit.Round, IVerifier(address(0))));
        VM.prank(SPONSOR);
        VM.expectRevert(abi.encodeWithSelector(PullPayments.NothingReceived.selector, token));
        treasury.fund(poolId, 5);
    }

    function test_fund_canNotBeReentered() public {
        CallingToken token = new CallingToken();
        token.mint(SPONSOR, 1000);
        bytes32 poolId = _tokenPool(token, 500);
        token.callDuringTransfer(address(treasury), abi.encodeCall(treasury.fund, (poolId, 0)));
        VM.prank(SPONSOR);
        treasury.fund(poolId, 500);
        VM.assertEq(token.answer(), REENTERED);
        VM.assertEq(treasury.poolOf(poolId).escrow, 1000);
    }

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
        RoundResolver.Rounds memory batch = _rounds(swarmId, nodeId, 1, 4, ROOT);
        bytes32 uid = _attest(key, batch);
        RoundResolver.Batch memory kept = _batchOf(batch);
        VM.warp(block.timestamp + WINDOW);
        VM.prank(key);
        treasury.settle(poolId, nodeId, uid, ROOT, kept, 0);
        _expectRevert(poolId, uid, kept, abi.encodeWithSelector(Treasury.AlreadySettled.selector, 4));
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

    function test_claim_ether() public {
        bytes32 poolId = _etherPool();
        _fundEther(poolId, 1000);
        _earn(poolId, 1, 4);
        VM.expectEmit(address(treasury));
        emit PullPayments.Claimed(ETHER, key, 400);
        VM.prank(key);
        VM.assertEq(treasury.claim(ETHER), 400);
        VM.assertEq(key.balance, 400);
        VM.assertEq(address(treasury).balance, 600);
        VM.prank(key);
        VM.expectRevert(abi.encodeWithSelector(PullPayments.NothingToClaim.selector, ETHER, key));
        treasury.claim(ETHER);
    }

    /// @dev The Node's owner takes no ether: nothing is lost, and it can name another account.
    function test_claim_byWhoTakesNoEtherLosesNothing() public {
        bytes32 poolId = _etherPool();
        _fundEther(poolId, 1000);
        address closed = address(new NoReceiver());
        RoundResolver.Rounds memory batch = _rounds(swarmId, nodeId, 1, 4, ROOT);
        bytes32 uid = _attest(key, batch);
        RoundResolver.Batch memory kept = _batchOf(batch);
        VM.warp(block.timestamp + WINDOW);
        VM.prank(key);
        nodes.transferFrom(key, closed, nodeId);
        VM.prank(closed);
        treasury.settle(poolId, nodeId, uid, ROOT, kept, 400);
        VM.prank(closed);
        VM.expectRevert(abi.encodeWithSelector(Errors.FailedCall.selector));
        treasury.claim(ETHER);
        VM.prank(closed);
        VM.assertEq(treasury.claimTo(ETHER, address(0xCA54)), 400);
        VM.assertEq(address(0xCA54).balance, 400);
        VM.assertEq(treasury.claimable(ETHER, closed), 0);
    }

    function test_claim_findsNothingWhenItComesBack() public {
        CallingToken token = new CallingToken();
        token.mint(SPONSOR, 1000);
        bytes32 poolId = _tokenPool(token, 1000);
        VM.prank(key);
        nodes.transferFrom(key, address(token), nodeId);
        VM.prank(address(token));
        nodes.setApprovalForAll(key, true);
        bytes memory signature = _signRotation(KEY, nodeId, address(token), 0, block.timestamp);
        VM.prank(address(token));
        nodes.setAgentWallet(nodeId, key, block.timestamp, signature);
        _earn(poolId, 1, 4);
        token.callDuringTransfer(address(treasury), abi.encodeCall(treasury.claim, (token)));
        VM.prank(address(token));
        treasury.claimTo(token, key);
        VM.assertEq(token.answer(), abi.encodeWithSelector(PullPayments.NothingToClaim.selector, token, address(token)));
        VM.assertEq(token.balanceOf(key), 400);
    }

    function _terms(IERC20 token, ITreasury.Unit unit, IVerifier verifier)
        private
        view
        returns (ITreasury.Terms memory)
    {
        return ITreasury.Terms({
            swarmId: swarmId, token: token, unit: unit, rate: RATE, window: WINDOW, verifier: verifier
        });
    }

    function _open(ITreasury.Terms memory terms) private returns (bytes32) {
        VM.prank(SPONSOR);
        return treasury.openPool(SALT, terms);
    }

    function _etherPool() private returns (bytes32) {
        return _open(_terms(ETHER, ITreasury.Unit.Round, IVerifier(address(0))));
    }

    function _fundEther(bytes32 poolId, uint256 amount) private {
        VM.prank(SPONSOR);
        treasury.fund{value: amount}(poolId, amount);
    }

    function _tokenPool(IERC20 token, uint256 amount) private returns (bytes32 poolId) {
        poolId = _open(_terms(token, ITreasury.Unit.Round, IVerifier(address(0))));
        VM.prank(SPONSOR);
        // Not every token returns what the standard says.
        (bool done,) = address(token).call(abi.encodeCall(token.approve, (address(treasury), type(uint256).max)));
        VM.assertTrue(done);
        VM.prank(SPONSOR);
        treasury.fund(poolId, amount);
    }

    function _earn(bytes32 poolId, uint64 first, uint64 last) private returns (uint256) {
        return _settleNow(poolId, _rounds(swarmId, nodeId, first, last, ROOT));
    }

    function _settleNow(bytes32 poolId, RoundResolver.Rounds memory batch) private returns (uint256) {
        bytes32 uid = _attest(key, batch);
        RoundResolver.Batch memory kept = _batchOf(batch);
        VM.warp(block.timestamp + WINDOW);
        VM.prank(key);
        return treasury.settle(poolId, nodeId, uid, ROOT, kept, 0);
    }

    function _expectRevert(bytes32 poolId, bytes32 uid, RoundResolver.Batch memory batch, bytes memory reason) private {
        VM.prank(key);
        VM.expectRevert(reason);
        treasury.settle(poolId, nodeId, uid, ROOT, batch, 0);
    }
}
