// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {PullPayments} from "../src/PullPayments.sol";
import {RoundResolver} from "../src/RoundResolver.sol";
import {SwarmRegistry} from "../src/SwarmRegistry.sol";
import {Treasury} from "../src/Treasury.sol";
import {IStakes} from "../src/interfaces/IStakes.sol";
import {ITreasury} from "../src/interfaces/ITreasury.sol";
import {IVerifier} from "../src/interfaces/IVerifier.sol";
import {Stakes} from "./harness/Doubles.sol";
import {Fixture} from "./harness/Fixture.sol";
import {CallingToken, FeeToken, Token} from "./harness/Tokens.sol";
import {VM} from "./harness/Vm.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @notice Swarms that are created with a budget: one transaction, or nothing of it.
contract BudgetTest is Fixture {
    IERC20 private constant ETHER = IERC20(address(0));
    bytes32 private constant ROOT = keccak256("root");
    uint128 private constant RATE = 100;

    bytes32 private swarmId;
    bytes32 private poolId;

    function setUp() public override {
        super.setUp();
        swarmId = swarms.swarmIdOf(swarmOwner, SALT);
        poolId = treasury.poolIdOf(swarmOwner, swarmId);
        VM.deal(swarmOwner, type(uint128).max);
    }

    function testFuzz_createFundedSwarm_ether(uint128 amount) public {
        VM.assume(amount != 0);
        ITreasury.Terms memory terms = _terms(ETHER);
        VM.expectEmit(address(swarms));
        emit SwarmRegistry.SwarmCreated(swarmId, swarmOwner, CONFIG, SwarmRegistry.Policy.Open, "ipfs://swarm");
        VM.expectEmit(address(treasury));
        emit Treasury.PoolOpened(poolId, swarmId, swarmOwner, terms);
        VM.expectEmit(address(treasury));
        emit Treasury.PoolFunded(poolId, swarmOwner, amount);
        VM.assertEq(_create(terms, amount, amount), swarmId);
        VM.assertEq(swarms.swarmOf(swarmId).owner, swarmOwner);
        Treasury.Pool memory pool = treasury.poolOf(poolId);
        VM.assertEq(pool.owner, swarmOwner);
        VM.assertEq(pool.swarmId, swarmId);
        VM.assertEq(pool.openedAt, block.timestamp);
        VM.assertEq(pool.escrow, amount);
        VM.assertEq(address(treasury).balance, amount);
        VM.assertEq(address(swarms).balance, 0);
        VM.assertEq(address(treasury.SWARMS()), address(swarms));
    }

    function testFuzz_createFundedSwarm_token(uint128 amount) public {
        VM.assume(amount != 0);
        Token token = new Token();
        token.mint(swarmOwner, amount);
        VM.prank(swarmOwner);
        token.approve(address(treasury), amount);
        _create(_terms(token), amount, 0);
        VM.assertEq(treasury.poolOf(poolId).escrow, amount);
        VM.assertEq(token.balanceOf(address(treasury)), amount);
        VM.assertEq(token.balanceOf(address(swarms)), 0);
    }

    function test_createFundedSwarm_countsWhatArrives() public {
        FeeToken token = new FeeToken();
        token.mint(swarmOwner, 1000);
        VM.prank(swarmOwner);
        token.approve(address(treasury), 1000);
        _create(_terms(token), 1000, 0);
        VM.assertEq(treasury.poolOf(poolId).escrow, 990);
    }

    function test_createFundedSwarm_staked() public {
        SwarmRegistry.StakeTerms memory stakeTerms = SwarmRegistry.StakeTerms(new Stakes(), 5);
        SwarmRegistry.Budget memory budget = SwarmRegistry.Budget(treasury, _terms(ETHER), 7);
        VM.prank(swarmOwner);
        swarms.createFundedSwarm{value: 7}(SALT, CONFIG, SwarmRegistry.Policy.Staked, stakeTerms, "", budget);
        VM.assertEq(swarms.stakeTermsOf(swarmId).minimum, 5);
        VM.assertEq(treasury.poolOf(poolId).escrow, 7);
    }

    /// @dev What the swarm pays in all is its budget, however much is due; the owner gets back only what was not earned.
    function testFuzz_budgetIsTheMostThatIsPaid(uint64 amount, uint64 rounds) public {
        VM.assume(amount != 0 && rounds != 0 && rounds <= resolver.MAX_ROUNDS());
        _create(_terms(ETHER), amount, amount);
        uint256 nodeId = _register(KEY);
        _join(swarmId, KEY);
        address key = VM.addr(KEY);
        RoundResolver.Rounds memory batch = _rounds(swarmId, nodeId, 1, rounds, ROOT);
        bytes32 uid = _attest(key, batch);
        RoundResolver.Batch memory kept = _batchOf(batch);
        VM.prank(key);
        uint256 paid = treasury.settle(poolId, nodeId, uid, ROOT, kept, 0);
        uint256 due = uint256(rounds) * RATE;
        VM.assertEq(paid, due < amount ? due : amount);
        VM.prank(swarmOwner);
        treasury.stop(poolId);
        VM.warp(block.timestamp + 30 days);
        VM.prank(swarmOwner);
        VM.assertEq(treasury.reclaim(poolId), amount - paid);
    }

    function test_createFundedSwarm_withAnotherValueReverts() public {
        _expectRevert(_terms(ETHER), 5, 4, abi.encodeWithSelector(PullPayments.WrongValue.selector, 5, 4));
        _expectRevert(_terms(new Token()), 5, 5, abi.encodeWithSelector(PullPayments.WrongValue.selector, 0, 5));
        VM.assertEq(swarms.swarmOf(swarmId).owner, address(0));
    }

    function test_createFundedSwarm_withoutMoneyReverts() public {
        _expectRevert(_terms(ETHER), 0, 0, abi.encodeWithSelector(PullPayments.NothingReceived.selector, ETHER));
        Token token = new Token();
        _expectRevert(
            _terms(token),
            5,
            0,
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(treasury), 0, 5)
        );
    }

    /// @dev What another account lets the treasury take stays that account's.
    function test_createFundedSwarm_takesFromNobodyElse() public {
        Token token = new Token();
        token.mint(address(this), 1000);
        token.approve(address(treasury), 1000);
        _expectRevert(
            _terms(token),
            5,
            0,
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(treasury), 0, 5)
        );
    }

    function test_createFundedSwarm_moreThanAPoolHoldsReverts() public {
        uint256 amount = uint256(type(uint128).max) + 1;
        VM.deal(swarmOwner, amount);
        _expectRevert(
            _terms(ETHER),
            amount,
            amount,
            abi.encodeWithSelector(SafeCast.SafeCastOverflowedUintDowncast.selector, 128, amount)
        );
    }

    function test_createFundedSwarm_ofAnotherSwarmReverts() public {
        ITreasury.Terms memory terms = _terms(ETHER);
        terms.swarmId = "other";
        _expectRevert(
            terms, 5, 5, abi.encodeWithSelector(SwarmRegistry.BudgetOfAnotherSwarm.selector, swarmId, terms.swarmId)
        );
    }

    function test_createFundedSwarm_withBadTermsReverts() public {
        ITreasury.Terms memory terms = _terms(ETHER);
        terms.rate = 0;
        _expectRevert(terms, 5, 5, abi.encodeWithSelector(Treasury.InvalidTerms.selector, 0, 0));
        terms.rate = 1;
        terms.window = 30 days + 1;
        _expectRevert(terms, 5, 5, abi.encodeWithSelector(Treasury.InvalidTerms.selector, 1, 30 days + 1));
    }

    function test_createFundedSwarm_whereThePoolIsReverts() public {
        VM.prank(swarmOwner);
        treasury.openPool(swarmId, _terms(ETHER));
        _expectRevert(_terms(ETHER), 5, 5, abi.encodeWithSelector(Treasury.PoolAlreadyExists.selector, poolId));
    }

    function test_createFundedSwarm_twiceReverts() public {
        _create(_terms(ETHER), 5, 5);
        _expectRevert(_terms(ETHER), 5, 5, abi.encodeWithSelector(SwarmRegistry.SwarmAlreadyExists.selector, swarmId));
    }

    function test_createFundedSwarm_withStakeTermsOfAnotherPolicyReverts() public {
        Stakes stakes = new Stakes();
        _expectStakeRevert(SwarmRegistry.Policy.Open, stakes, 5);
        _expectStakeRevert(SwarmRegistry.Policy.Open, stakes, 0);
        _expectStakeRevert(SwarmRegistry.Policy.Invited, IStakes(address(0)), 5);
        _expectStakeRevert(SwarmRegistry.Policy.Staked, IStakes(address(0)), 0);
        _expectStakeRevert(SwarmRegistry.Policy.Staked, stakes, 0);
    }

    function test_openBudget_byAnotherThanTheRegistryReverts() public {
        Token token = new Token();
        token.mint(swarmOwner, 5);
        VM.prank(swarmOwner);
        token.approve(address(treasury), 5);
        VM.expectRevert(abi.encodeWithSelector(Treasury.NotSwarmRegistry.selector, address(this)));
        treasury.openBudget(swarmOwner, _terms(token), 5);
    }

    function test_createFundedSwarm_cannotBeReentered() public {
        CallingToken token = new CallingToken();
        token.mint(swarmOwner, 10);
        VM.prank(swarmOwner);
        token.approve(address(treasury), 10);
        token.callDuringTransfer(address(treasury), abi.encodeCall(treasury.fund, (poolId, 5)));
        _create(_terms(token), 5, 0);
        VM.assertEq(token.answer(), abi.encodePacked(bytes4(keccak256("ReentrancyGuardReentrantCall()"))));
        VM.assertEq(treasury.poolOf(poolId).escrow, 5);
    }

    function _terms(IERC20 token) private view returns (ITreasury.Terms memory) {
        return ITreasury.Terms(swarmId, token, ITreasury.Unit.Round, RATE, 0, IVerifier(address(0)));
    }

    function _create(ITreasury.Terms memory terms, uint256 amount, uint256 value) private returns (bytes32) {
        SwarmRegistry.Budget memory budget = SwarmRegistry.Budget(treasury, terms, amount);
        SwarmRegistry.StakeTerms memory none = SwarmRegistry.StakeTerms(IStakes(address(0)), 0);
        VM.prank(swarmOwner);
        return
            swarms.createFundedSwarm{value: value}(
                SALT, CONFIG, SwarmRegistry.Policy.Open, none, "ipfs://swarm", budget
            );
    }

    function _expectRevert(ITreasury.Terms memory terms, uint256 amount, uint256 value, bytes memory reason) private {
        SwarmRegistry.Budget memory budget = SwarmRegistry.Budget(treasury, terms, amount);
        SwarmRegistry.StakeTerms memory none = SwarmRegistry.StakeTerms(IStakes(address(0)), 0);
        VM.prank(swarmOwner);
        VM.expectRevert(reason);
        swarms.createFundedSwarm{value: value}(SALT, CONFIG, SwarmRegistry.Policy.Open, none, "", budget);
    }

    function _expectStakeRevert(SwarmRegistry.Policy policy, IStakes stakes, uint256 minimum) private {
        SwarmRegistry.Budget memory budget = SwarmRegistry.Budget(treasury, _terms(ETHER), 5);
        VM.prank(swarmOwner);
        VM.expectRevert(abi.encodeWithSelector(SwarmRegistry.InvalidStakeTerms.selector, stakes, minimum));
        swarms.createFundedSwarm{value: 5}(SALT, CONFIG, policy, SwarmRegistry.StakeTerms(stakes, minimum), "", budget);
    }
}
