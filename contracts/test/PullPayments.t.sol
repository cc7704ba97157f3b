// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {PullPayments} from "../src/PullPayments.sol";
import {RoundResolver} from "../src/RoundResolver.sol";
import {ITreasury} from "../src/interfaces/ITreasury.sol";
import {IVerifier} from "../src/interfaces/IVerifier.sol";
import {NoReceiver} from "./harness/Doubles.sol";
import {PoolFixture} from "./harness/Pools.sol";
import {CallingToken, EmptyToken, FeeToken, RefusingToken, SilentToken, Token} from "./harness/Tokens.sol";
import {VM} from "./harness/Vm.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";

/// @notice Money that comes in, in ether and in tokens of every kind, and who fetches it: by the treasury, which is one such contract.
contract PullPaymentsTest is PoolFixture {
    bytes private constant REENTERED = abi.encodePacked(bytes4(keccak256("ReentrancyGuardReentrantCall()")));

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

    function _earn(bytes32 poolId, uint64 first, uint64 last) private returns (uint256) {
        return _settleNow(poolId, _rounds(swarmId, nodeId, first, last, ROOT));
    }
}
