// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Crowdfunding} from "../../src/Crowdfunding.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {RoundResolver} from "../../src/RoundResolver.sol";
import {SwarmRegistry} from "../../src/SwarmRegistry.sol";
import {Treasury} from "../../src/Treasury.sol";
import {IStakes} from "../../src/interfaces/IStakes.sol";
import {ITreasury} from "../../src/interfaces/ITreasury.sol";
import {IVerifier} from "../../src/interfaces/IVerifier.sol";
import {VM} from "../harness/Vm.sol";
import {Attestation} from "@ethereum-attestation-service/eas-contracts/contracts/Common.sol";
import {IEAS} from "@ethereum-attestation-service/eas-contracts/contracts/IEAS.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @notice What holds for every amount, rate and batch: `make -C contracts symbolic` has Halmos prove the functions that
/// begin with check_. This contract stands in for EAS, which hands attestations to the resolver, and for the sponsor.
contract AccountingProofs {
    IERC20 private constant ETHER = IERC20(address(0));
    address private constant KEY = address(0x40DE);
    uint256 private constant NODE = 0x40DE;
    bytes32 private constant UID = keccak256("uid");
    bytes32 private constant ROOT = keccak256("root");

    RoundResolver private resolver;
    Treasury private treasury;
    Crowdfunding private crowdfunding;
    bytes32 private swarmId;

    function setUp() public {
        NodeRegistry nodes = new NodeRegistry();
        SwarmRegistry swarms = new SwarmRegistry(nodes);
        resolver = new RoundResolver(IEAS(address(this)), nodes, swarms);
        treasury = new Treasury(resolver);
        crowdfunding = new Crowdfunding(resolver);
        swarmId = swarms.createSwarm(0, 0, SwarmRegistry.Policy.Open, "");
        VM.prank(KEY);
        nodes.register();
        VM.prank(KEY);
        swarms.join(swarmId, NODE);
    }

    /// @dev A settlement moves what is due, or all that is there, from the escrow to the credit, and a second one nothing.
    function check_settlementMovesWhatIsDueOnce(uint64 rounds, uint128 rate, uint128 funded) public {
        VM.assume(rate != 0 && funded != 0 && rounds != 0 && rounds <= resolver.MAX_ROUNDS());
        bytes32 poolId = _pool(rate, ITreasury.Unit.Round, funded);
        RoundResolver.Batch memory batch = _attest(rounds, 0);
        VM.prank(KEY);
        uint256 amount = treasury.settle(poolId, NODE, UID, ROOT, batch, 0);
        uint256 escrow = treasury.poolOf(poolId).escrow;
        uint256 due = _due(rounds, rate);
        assert(amount == (due < funded ? due : funded));
        assert(escrow + amount == funded);
        assert(treasury.claimable(ETHER, KEY) == amount);
        assert(address(treasury).balance == escrow + amount);
        VM.prank(KEY);
        (bool again,) = address(treasury).call(abi.encodeCall(treasury.settle, (poolId, NODE, UID, ROOT, batch, 0)));
        assert(!again);
    }

    /// @dev By tokens nothing is paid beyond the rate, and what rounding leaves stays in the escrow.
    function check_settlementByTokensKeepsTheDust(uint64 tokens, uint64 rate, uint128 funded) public {
        VM.assume(rate != 0 && funded != 0);
        bytes32 poolId = _pool(rate, ITreasury.Unit.MillionTokens, funded);
        RoundResolver.Batch memory batch = _attest(1, tokens);
        VM.prank(KEY);
        uint256 amount = treasury.settle(poolId, NODE, UID, ROOT, batch, 0);
        uint256 escrow = treasury.poolOf(poolId).escrow;
        assert(amount <= funded && escrow == funded - amount);
        assert(treasury.claimable(ETHER, KEY) == amount);
        assert(address(treasury).balance == escrow + amount);
    }

    /// @dev A claim sends all that was credited, to whom the creditor says, and leaves the escrow alone.
    function check_claimSendsTheCredit(uint64 rounds, uint128 rate, uint128 funded) public {
        VM.assume(rate != 0 && funded != 0 && rounds != 0 && rounds <= resolver.MAX_ROUNDS());
        bytes32 poolId = _pool(rate, ITreasury.Unit.Round, funded);
        RoundResolver.Batch memory batch = _attest(rounds, 0);
        VM.prank(KEY);
        uint256 amount = treasury.settle(poolId, NODE, UID, ROOT, batch, 0);
        VM.assume(amount != 0);
        VM.prank(KEY);
        assert(treasury.claimTo(ETHER, address(0xCA54)) == amount);
        assert(address(0xCA54).balance == amount);
        assert(treasury.claimable(ETHER, KEY) == 0);
        assert(address(treasury).balance == treasury.poolOf(poolId).escrow);
        VM.prank(KEY);
        (bool again,) = address(treasury).call(abi.encodeCall(treasury.claim, (ETHER)));
        assert(!again);
    }

    /// @dev Whenever the owner stops, what was attested before can be settled until the period is over, and not taken.
    function check_ownerCanNotTakeWhatWasEarned(uint64 rounds, uint128 rate, uint128 funded, uint32 later) public {
        VM.assume(rate != 0 && funded != 0 && rounds != 0 && rounds <= resolver.MAX_ROUNDS());
        bytes32 poolId = _pool(rate, ITreasury.Unit.Round, funded);
        RoundResolver.Batch memory batch = _attest(rounds, 0);
        treasury.stop(poolId);
        VM.assume(later < treasury.SETTLING_PERIOD());
        VM.warp(block.timestamp + later);
        (bool taken,) = address(treasury).call(abi.encodeCall(treasury.reclaim, (poolId)));
        assert(!taken);
        VM.prank(KEY);
        uint256 due = _due(rounds, rate);
        assert(treasury.settle(poolId, NODE, UID, ROOT, batch, 0) == (due < funded ? due : funded));
    }

    /// @dev A swarm's budget is the most that it pays, however much is due.
    function check_budgetIsTheMostThatIsPaid(uint64 rounds, uint128 rate, uint128 amount) public {
        VM.assume(rate != 0 && amount != 0 && rounds != 0 && rounds <= resolver.MAX_ROUNDS());
        bytes32 poolId = _budget(rate, amount);
        assert(treasury.poolOf(poolId).escrow == amount && address(treasury).balance == amount);
        RoundResolver.Batch memory batch = _attest(rounds, 0);
        VM.prank(KEY);
        uint256 paid = treasury.settle(poolId, NODE, UID, ROOT, batch, 0);
        uint256 due = _due(rounds, rate);
        assert(paid == (due < amount ? due : amount));
        treasury.stop(poolId);
        VM.warp(block.timestamp + treasury.SETTLING_PERIOD());
        assert(treasury.reclaim(poolId) == amount - paid);
        assert(treasury.poolOf(poolId).escrow == 0);
    }

    /// @dev A milestone moves its share from what is unspent to the beneficiary's credit; what is left is refunded whole.
    function check_milestoneAndRefundLeaveNothing(uint96 pledged, uint16 share) public {
        VM.assume(pledged != 0 && share != 0 && share < crowdfunding.WHOLE());
        bytes32 campaignId = _campaign(pledged, share);
        VM.warp(block.timestamp + 2);
        crowdfunding.reachByReward(campaignId, 0);
        uint256 released = crowdfunding.claimable(ETHER, KEY);
        uint256 unspent = crowdfunding.campaignOf(campaignId).unspent;
        assert(released <= pledged && released + unspent == pledged);
        assert(address(crowdfunding).balance == pledged);
        crowdfunding.cancel(campaignId);
        VM.assume(unspent != 0);
        uint256 refunded = crowdfunding.refund(campaignId, address(0xCA54));
        assert(address(crowdfunding).balance + refunded == pledged);
        assert(crowdfunding.campaignOf(campaignId).unspent + refunded == unspent);
        (bool again,) = address(crowdfunding).call(abi.encodeCall(crowdfunding.refund, (campaignId, address(0xCA54))));
        assert(!again);
    }

    function _campaign(uint96 pledged, uint16 share) private returns (bytes32 campaignId) {
        Crowdfunding.Milestone[] memory milestones = new Crowdfunding.Milestone[](2);
        milestones[0] = Crowdfunding.Milestone(Crowdfunding.Measure.HeldOutReward, 0, share);
        milestones[1] = Crowdfunding.Milestone(Crowdfunding.Measure.HeldOutReward, 0, 10_000 - share);
        uint64 time = uint64(block.timestamp);
        Crowdfunding.Terms memory terms =
            Crowdfunding.Terms(swarmId, ETHER, KEY, address(this), 1, time + 1, time + 100);
        campaignId = crowdfunding.createCampaign(0, terms, milestones);
        VM.deal(address(this), pledged);
        crowdfunding.pledge{value: pledged}(campaignId, pledged);
    }

    /// @dev In the treasury's own words, for solvers are poor at products.
    function _due(uint64 rounds, uint128 rate) private pure returns (uint256) {
        return (uint256(rounds - 1) + 1) * rate;
    }

    function _pool(uint128 rate, ITreasury.Unit unit, uint128 funded) private returns (bytes32 poolId) {
        poolId = treasury.openPool(0, ITreasury.Terms(swarmId, ETHER, unit, rate, 0, IVerifier(address(0))));
        VM.deal(address(this), funded);
        treasury.fund{value: funded}(poolId, funded);
    }

    /// @dev Another swarm of this contract's, created with its budget, of which the Node is a member.
    function _budget(uint128 rate, uint128 amount) private returns (bytes32) {
        SwarmRegistry swarms = resolver.SWARMS();
        swarmId = swarms.swarmIdOf(address(this), "funded");
        ITreasury.Terms memory terms =
            ITreasury.Terms(swarmId, ETHER, ITreasury.Unit.Round, rate, 0, IVerifier(address(0)));
        SwarmRegistry.StakeTerms memory none = SwarmRegistry.StakeTerms(IStakes(address(0)), 0);
        SwarmRegistry.Budget memory budget = SwarmRegistry.Budget(treasury, terms, amount);
        VM.deal(address(this), amount);
        swarms.createFundedSwarm{value: amount}("funded", 0, SwarmRegistry.Policy.Open, none, "", budget);
        VM.prank(KEY);
        swarms.join(swarmId, NODE);
        return treasury.poolIdOf(address(this), swarmId);
    }

    function _attest(uint64 rounds, uint64 tokens) private returns (RoundResolver.Batch memory) {
        RoundResolver.Rounds memory data =
            RoundResolver.Rounds(swarmId, NODE, 1, rounds, ROOT, 0, ROOT, 0, 0, tokens, 0);
        uint64 time = uint64(block.timestamp);
        bytes32 schema = resolver.SCHEMA_UID();
        assert(resolver.attest(Attestation(UID, schema, time, 0, 0, 0, address(0), KEY, false, abi.encode(data))));
        return RoundResolver.Batch(1, rounds, tokens, time, 0, ROOT);
    }
}
