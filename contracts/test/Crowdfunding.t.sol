// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Crowdfunding} from "../src/Crowdfunding.sol";
import {PullPayments} from "../src/PullPayments.sol";
import {NoReceiver} from "./harness/Doubles.sol";
import {Fixture} from "./harness/Fixture.sol";
import {CallingToken, FeeToken, FreezingToken} from "./harness/Tokens.sol";
import {VM} from "./harness/Vm.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

contract CrowdfundingTest is Fixture {
    IERC20 private constant ETHER = IERC20(address(0));
    bytes32 private constant NONE = keccak256("none");
    address private constant CREATOR = address(0xC4EA);
    address private constant BENEFICIARY = address(0xBE4E);
    address private constant EVALUATOR = address(0xE7A1);
    address private constant ALICE = address(0xA1);
    address private constant BOB = address(0xB0);

    bytes32 private swarmId;
    uint256 private nodeId;
    uint64 private deadline;
    uint64 private end;

    function setUp() public override {
        super.setUp();
        (swarmId, nodeId) = _member(KEY);
        deadline = uint64(block.timestamp + 10 days);
        end = uint64(block.timestamp + 100 days);
        VM.deal(ALICE, 1e36);
        VM.deal(BOB, 1e36);
    }

    function test_createCampaign() public {
        Crowdfunding.Terms memory terms = _terms();
        Crowdfunding.Milestone[] memory milestones = _milestones();
        bytes32 expected = keccak256(abi.encode(CREATOR, SALT));
        VM.expectEmit(address(crowdfunding));
        emit Crowdfunding.CampaignCreated(expected, swarmId, CREATOR, terms, milestones);
        VM.assertEq(_create(terms, milestones), expected);
        VM.assertEq(crowdfunding.campaignIdOf(CREATOR, SALT), expected);
        Crowdfunding.Campaign memory campaign = crowdfunding.campaignOf(expected);
        VM.assertEq(campaign.creator, CREATOR);
        VM.assertEq(campaign.milestones.length, 2);
        VM.assertEq(campaign.milestones[1].share, 7500);
        VM.assertEq(campaign.terms.goal, 1000);
        VM.assertEq(abi.encode(campaign.terms), abi.encode(terms));
        VM.assertEq(uint256(campaign.raised) + campaign.pledged + campaign.unspent + campaign.reached, 0);
    }

    function test_createCampaign_twiceReverts() public {
        bytes32 campaignId = _campaign();
        VM.prank(CREATOR);
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.CampaignAlreadyExists.selector, campaignId));
        crowdfunding.createCampaign(SALT, _terms(), _milestones());
    }

    function test_createCampaign_withBadTimesReverts() public {
        uint64[2][4] memory times = [
            [uint64(block.timestamp), end],
            [deadline, deadline],
            [deadline, deadline - 1],
            [deadline, uint64(block.timestamp + 3 * 365 days + 1)]
        ];
        for (uint256 i = 0; i < times.length; ++i) {
            Crowdfunding.Terms memory terms = _terms();
            (terms.deadline, terms.end) = (times[i][0], times[i][1]);
            VM.expectRevert(abi.encodeWithSelector(Crowdfunding.InvalidTimes.selector, times[i][0], times[i][1]));
            crowdfunding.createCampaign(SALT, terms, _milestones());
        }
        Crowdfunding.Terms memory longest = _terms();
        (longest.deadline, longest.end) = (uint64(block.timestamp + 1), uint64(block.timestamp + 3 * 365 days));
        _create(longest, _milestones());
    }

    function test_createCampaign_withBadTermsReverts() public {
        Crowdfunding.Terms memory terms = _terms();
        terms.goal = 0;
        _expectInvalidTerms(terms);
        terms = _terms();
        terms.beneficiary = address(0);
        _expectInvalidTerms(terms);
        terms = _terms();
        terms.evaluator = address(0);
        _expectInvalidTerms(terms);
        Crowdfunding.Milestone[] memory rounds = new Crowdfunding.Milestone[](1);
        rounds[0] = Crowdfunding.Milestone(Crowdfunding.Measure.Rounds, 1, 10_000);
        _create(terms, rounds);
    }

    function test_createCampaign_withBadMilestonesReverts() public {
        Crowdfunding.Terms memory terms = _terms();
        Crowdfunding.Milestone[] memory milestones = new Crowdfunding.Milestone[](0);
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.InvalidMilestones.selector, 0, 0));
        crowdfunding.createCampaign(SALT, terms, milestones);
        milestones = new Crowdfunding.Milestone[](17);
        for (uint256 i = 0; i < 17; ++i) {
            milestones[i].share = i == 0 ? 9984 : 1;
        }
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.InvalidMilestones.selector, 17, 0));
        crowdfunding.createCampaign(SALT, terms, milestones);
        milestones = _milestones();
        milestones[1].share = 7501;
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.InvalidMilestones.selector, 2, 10_001));
        crowdfunding.createCampaign(SALT, terms, milestones);
        (milestones[0].share, milestones[1].share) = (0, 10_000);
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.InvalidMilestones.selector, 2, 0));
        crowdfunding.createCampaign(SALT, terms, milestones);
        (milestones[0].share, milestones[1].share) = (10_000, 0);
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.InvalidMilestones.selector, 2, 10_000));
        crowdfunding.createCampaign(SALT, terms, milestones);
        milestones = new Crowdfunding.Milestone[](16);
        for (uint256 i = 0; i < 16; ++i) {
            milestones[i].share = 625;
        }
        _create(terms, milestones);
    }

    function testFuzz_pledge(uint96 first, uint96 second) public {
        VM.assume(first != 0 && second != 0);
        bytes32 campaignId = _campaign();
        VM.expectEmit(address(crowdfunding));
        emit Crowdfunding.Pledged(campaignId, ALICE, first);
        _pledge(campaignId, ALICE, first);
        _pledge(campaignId, ALICE, second);
        VM.assertEq(crowdfunding.pledges(campaignId, ALICE), uint256(first) + second);
        Crowdfunding.Campaign memory campaign = crowdfunding.campaignOf(campaignId);
        VM.assertEq(campaign.raised, uint256(first) + second);
        VM.assertEq(campaign.unspent, campaign.raised);
        VM.assertEq(campaign.pledged, campaign.raised);
    }

    function test_pledge_countsWhatArrives() public {
        FeeToken token = new FeeToken();
        token.mint(ALICE, 1000);
        Crowdfunding.Terms memory terms = _terms();
        terms.token = token;
        bytes32 campaignId = _create(terms, _milestones());
        VM.prank(ALICE);
        token.approve(address(crowdfunding), 1000);
        VM.prank(ALICE);
        crowdfunding.pledge(campaignId, 1000);
        VM.assertEq(crowdfunding.pledges(campaignId, ALICE), 990);
        VM.warp(deadline + 1);
        VM.prank(ALICE);
        VM.assertEq(crowdfunding.refund(campaignId, ALICE), 990);
        VM.assertEq(token.balanceOf(address(crowdfunding)), 0);
    }

    function test_pledge_moreThanACampaignHoldsReverts() public {
        bytes32 campaignId = _campaign();
        uint256 tooMuch = uint256(type(uint128).max) + 1;
        VM.deal(ALICE, tooMuch);
        VM.deal(BOB, 1);
        VM.prank(ALICE);
        VM.expectRevert(abi.encodeWithSelector(SafeCast.SafeCastOverflowedUintDowncast.selector, 128, tooMuch));
        crowdfunding.pledge{value: tooMuch}(campaignId, tooMuch);
        _pledge(campaignId, ALICE, type(uint128).max);
        VM.prank(BOB);
        VM.expectRevert(abi.encodeWithSignature("Panic(uint256)", 0x11));
        crowdfunding.pledge{value: 1}(campaignId, 1);
    }

    function test_pledge_outsideItsTimeReverts() public {
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.CampaignNotFound.selector, NONE));
        crowdfunding.pledge(NONE, 1);
        bytes32 campaignId = _campaign();
        VM.warp(deadline);
        _pledge(campaignId, ALICE, 1);
        VM.assertFalse(crowdfunding.isRefunding(campaignId));
        VM.warp(deadline + 1);
        VM.assertTrue(crowdfunding.isRefunding(campaignId));
        VM.prank(ALICE);
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.NotRaising.selector, campaignId));
        crowdfunding.pledge{value: 1}(campaignId, 1);
    }

    function test_pledge_toACancelledCampaignReverts() public {
        bytes32 campaignId = _campaign();
        VM.prank(CREATOR);
        crowdfunding.cancel(campaignId);
        VM.prank(ALICE);
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.NotRaising.selector, campaignId));
        crowdfunding.pledge{value: 1}(campaignId, 1);
    }

    function test_pledge_canNotBeReentered() public {
        (CallingToken token, bytes32 campaignId) = _callingCampaign();
        token.callDuringTransfer(address(crowdfunding), abi.encodeCall(crowdfunding.pledge, (campaignId, 1)));
        VM.prank(ALICE);
        crowdfunding.pledge(campaignId, 100);
        VM.assertEq(token.answer(), abi.encodeWithSignature("ReentrancyGuardReentrantCall()"));
    }

    function testFuzz_refund_isFullWhereTheGoalWasNotMet(uint96 first, uint96 second, uint96 short) public {
        VM.assume(first != 0 && second != 0 && short != 0);
        Crowdfunding.Terms memory terms = _terms();
        terms.goal = uint128(first) + second + short;
        bytes32 campaignId = _create(terms, _milestones());
        _pledge(campaignId, ALICE, first);
        _pledge(campaignId, BOB, second);
        VM.assertFalse(crowdfunding.isRefunding(campaignId));
        VM.prank(ALICE);
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.NotRefunding.selector, campaignId));
        crowdfunding.refund(campaignId, ALICE);
        VM.warp(deadline + 1);
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.NotRunning.selector, campaignId));
        crowdfunding.reachByRounds(campaignId, new uint256[](0));
        VM.expectEmit(address(crowdfunding));
        emit Crowdfunding.Refunded(campaignId, ALICE, address(0xCA54), first);
        VM.prank(ALICE);
        VM.assertEq(crowdfunding.refund(campaignId, address(0xCA54)), first);
        VM.assertEq(address(0xCA54).balance, first);
        VM.prank(BOB);
        VM.assertEq(crowdfunding.refund(campaignId, BOB), second);
        VM.assertEq(address(crowdfunding).balance, 0);
    }

    function test_refund_twiceReverts() public {
        bytes32 campaignId = _campaign();
        _pledge(campaignId, ALICE, 10);
        _pledge(campaignId, BOB, 10);
        VM.warp(deadline + 1);
        VM.prank(ALICE);
        crowdfunding.refund(campaignId, ALICE);
        VM.prank(ALICE);
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.NothingToRefund.selector, campaignId, ALICE));
        crowdfunding.refund(campaignId, ALICE);
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.NothingToRefund.selector, campaignId, address(this)));
        crowdfunding.refund(campaignId, address(this));
    }

    /// @dev A receiver that can't be paid hurts itself only, and may name another.
    function test_refund_isHeldUpByNobody() public {
        bytes32 campaignId = _campaign();
        address closed = address(new NoReceiver());
        VM.deal(closed, 10);
        _pledge(campaignId, closed, 10);
        _pledge(campaignId, ALICE, 20);
        VM.warp(deadline + 1);
        VM.prank(closed);
        VM.expectRevert(abi.encodeWithSelector(Errors.FailedCall.selector));
        crowdfunding.refund(campaignId, closed);
        VM.prank(ALICE);
        VM.assertEq(crowdfunding.refund(campaignId, ALICE), 20);
        VM.prank(closed);
        VM.assertEq(crowdfunding.refund(campaignId, address(0xCA54)), 10);
    }

    /// @dev A backer whom the token's issuer froze names another account; the others are not held up.
    function test_refund_ofAFrozenBackerGoesElsewhere() public {
        FreezingToken token = new FreezingToken();
        Crowdfunding.Terms memory terms = _terms();
        terms.token = token;
        bytes32 campaignId = _create(terms, _milestones());
        address[2] memory backers = [ALICE, BOB];
        for (uint256 i = 0; i < 2; ++i) {
            token.mint(backers[i], 100);
            VM.prank(backers[i]);
            token.approve(address(crowdfunding), 100);
            VM.prank(backers[i]);
            crowdfunding.pledge(campaignId, 100);
        }
        token.freeze(ALICE);
        VM.warp(deadline + 1);
        VM.prank(ALICE);
        VM.expectRevert(abi.encodeWithSelector(FreezingToken.Frozen.selector, ALICE));
        crowdfunding.refund(campaignId, ALICE);
        VM.prank(BOB);
        VM.assertEq(crowdfunding.refund(campaignId, BOB), 100);
        VM.prank(ALICE);
        VM.assertEq(crowdfunding.refund(campaignId, address(0xCA54)), 100);
        VM.assertEq(token.balanceOf(address(0xCA54)), 100);
    }

    function test_refund_canNotBeReentered() public {
        (CallingToken token, bytes32 campaignId) = _callingCampaign();
        VM.prank(ALICE);
        crowdfunding.pledge(campaignId, 100);
        VM.warp(deadline + 1);
        token.callDuringTransfer(address(crowdfunding), abi.encodeCall(crowdfunding.refund, (campaignId, ALICE)));
        VM.prank(ALICE);
        VM.assertEq(crowdfunding.refund(campaignId, ALICE), 100);
        VM.assertEq(token.answer(), abi.encodeWithSignature("ReentrancyGuardReentrantCall()"));
    }

    function test_refund_ofAnUnknownCampaignReverts() public {
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.CampaignNotFound.selector, NONE));
        crowdfunding.refund(NONE, address(this));
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.CampaignNotFound.selector, NONE));
        crowdfunding.isRefunding(NONE);
    }

    function test_milestones_releaseSharesInTheirOrder() public {
        bytes32 campaignId = _funded(1001);
        _attest(VM.addr(KEY), _rounds(swarmId, nodeId, 1, 8, keccak256("root")));
        VM.expectEmit(address(crowdfunding));
        emit PullPayments.Credited(ETHER, BENEFICIARY, 250);
        VM.expectEmit(address(crowdfunding));
        emit Crowdfunding.MilestoneReached(campaignId, 0, 8, 250);
        crowdfunding.reachByRounds(campaignId, _only(nodeId));
        VM.assertEq(crowdfunding.claimable(ETHER, BENEFICIARY), 250);
        VM.prank(EVALUATOR);
        VM.expectEmit(address(crowdfunding));
        emit Crowdfunding.MilestoneReached(campaignId, 1, 500_000, 751);
        crowdfunding.reachByReward(campaignId, 500_000);
        VM.prank(BENEFICIARY);
        VM.assertEq(crowdfunding.claim(ETHER), 1001);
        VM.assertEq(address(crowdfunding).balance, 0);
        VM.prank(EVALUATOR);
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.NoMilestoneLeft.selector, campaignId));
        crowdfunding.reachByReward(campaignId, 500_000);
        VM.warp(end + 1);
        VM.prank(ALICE);
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.NothingToRefund.selector, campaignId, ALICE));
        crowdfunding.refund(campaignId, ALICE);
    }

    function test_milestones_sumTheRoundsOfSeveralNodes() public {
        bytes32 campaignId = _funded(1000);
        (, uint256 other) = _member(OTHER_KEY);
        _attest(VM.addr(KEY), _rounds(swarmId, nodeId, 1, 5, keccak256("root")));
        _attest(VM.addr(OTHER_KEY), _rounds(swarmId, other, 1, 3, keccak256("root")));
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.ThresholdNotReached.selector, 5, 8));
        crowdfunding.reachByRounds(campaignId, _only(nodeId));
        uint256[] memory both = new uint256[](2);
        (both[0], both[1]) = nodeId < other ? (nodeId, other) : (other, nodeId);
        crowdfunding.reachByRounds(campaignId, both);
        VM.assertEq(crowdfunding.campaignOf(campaignId).reached, 1);
    }

    function test_milestones_countANodeOnce() public {
        bytes32 campaignId = _funded(1000);
        _attest(VM.addr(KEY), _rounds(swarmId, nodeId, 1, 4, keccak256("root")));
        uint256[] memory twice = new uint256[](2);
        (twice[0], twice[1]) = (nodeId, nodeId);
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.InvalidNodes.selector, 1));
        crowdfunding.reachByRounds(campaignId, twice);
        uint256[] memory many = new uint256[](257);
        for (uint256 i = 0; i < many.length; ++i) {
            many[i] = i;
        }
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.InvalidNodes.selector, 256));
        crowdfunding.reachByRounds(campaignId, many);
    }

    function test_milestones_measuredOtherwiseRevert() public {
        bytes32 campaignId = _funded(1000);
        VM.prank(EVALUATOR);
        VM.expectRevert(
            abi.encodeWithSelector(Crowdfunding.WrongMeasure.selector, uint256(Crowdfunding.Measure.Rounds))
        );
        crowdfunding.reachByReward(campaignId, 500_000);
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.NotAllowed.selector, EVALUATOR, address(this)));
        crowdfunding.reachByReward(campaignId, 500_000);
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.CampaignNotFound.selector, NONE));
        crowdfunding.reachByReward(NONE, 500_000);
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.CampaignNotFound.selector, NONE));
        crowdfunding.reachByRounds(NONE, new uint256[](0));
    }

    function test_milestones_outsideTheirTimeRevert() public {
        bytes32 campaignId = _campaign();
        _pledge(campaignId, ALICE, 1000);
        _attest(VM.addr(KEY), _rounds(swarmId, nodeId, 1, 8, keccak256("root")));
        VM.warp(deadline);
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.NotRunning.selector, campaignId));
        crowdfunding.reachByRounds(campaignId, _only(nodeId));
        VM.warp(end + 1);
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.NotRunning.selector, campaignId));
        crowdfunding.reachByRounds(campaignId, _only(nodeId));
        VM.warp(end);
        VM.assertFalse(crowdfunding.isRefunding(campaignId));
        crowdfunding.reachByRounds(campaignId, _only(nodeId));
    }

    function testFuzz_unspentGoesBackByThePledges(uint96 first, uint96 second, bool cancelled) public {
        VM.assume(first > 1000 && second > 1000);
        bytes32 campaignId = _campaign();
        _pledge(campaignId, ALICE, first);
        _pledge(campaignId, BOB, second);
        VM.warp(deadline + 1);
        _attest(VM.addr(KEY), _rounds(swarmId, nodeId, 1, 8, keccak256("root")));
        crowdfunding.reachByRounds(campaignId, _only(nodeId));
        uint256 raised = uint256(first) + second;
        uint256 unspent = raised - raised / 4;
        if (cancelled) {
            VM.prank(CREATOR);
            crowdfunding.cancel(campaignId);
        } else {
            VM.warp(end + 1);
        }
        VM.prank(ALICE);
        VM.assertEq(crowdfunding.refund(campaignId, ALICE), unspent * first / raised);
        VM.prank(BOB);
        VM.assertEq(crowdfunding.refund(campaignId, BOB), unspent - unspent * first / raised);
        VM.assertEq(address(crowdfunding).balance, raised / 4);
        VM.prank(BENEFICIARY);
        VM.assertEq(crowdfunding.claim(ETHER), raised / 4);
    }

    function test_cancel_byAStrangerReverts() public {
        bytes32 campaignId = _campaign();
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.NotAllowed.selector, CREATOR, address(this)));
        crowdfunding.cancel(campaignId);
        VM.expectRevert(abi.encodeWithSelector(Crowdfunding.CampaignNotFound.selector, NONE));
        crowdfunding.cancel(NONE);
        VM.expectEmit(address(crowdfunding));
        emit Crowdfunding.CampaignCancelled(campaignId);
        VM.prank(CREATOR);
        crowdfunding.cancel(campaignId);
        VM.assertTrue(crowdfunding.campaignOf(campaignId).cancelled);
        VM.assertTrue(crowdfunding.isRefunding(campaignId));
    }

    function _terms() private view returns (Crowdfunding.Terms memory) {
        return Crowdfunding.Terms({
            swarmId: swarmId,
            token: ETHER,
            beneficiary: BENEFICIARY,
            evaluator: EVALUATOR,
            goal: 1000,
            deadline: deadline,
            end: end
        });
    }

    function _milestones() private pure returns (Crowdfunding.Milestone[] memory milestones) {
        milestones = new Crowdfunding.Milestone[](2);
        milestones[0] = Crowdfunding.Milestone(Crowdfunding.Measure.Rounds, 8, 2500);
        milestones[1] = Crowdfunding.Milestone(Crowdfunding.Measure.HeldOutReward, 500_000, 7500);
    }

    function _create(Crowdfunding.Terms memory terms, Crowdfunding.Milestone[] memory milestones)
        private
        returns (bytes32)
    {
        VM.prank(CREATOR);
        return crowdfunding.createCampaign(SALT, terms, milestones);
    }

    function _campaign() private returns (bytes32) {
        return _create(_terms(), _milestones());
    }

    function _pledge(bytes32 campaignId, address backer, uint256 amount) private {
        VM.prank(backer);
        crowdfunding.pledge{value: amount}(campaignId, amount);
    }

    function _funded(uint256 amount) private returns (bytes32 campaignId) {
        campaignId = _campaign();
        _pledge(campaignId, ALICE, amount);
        VM.warp(deadline + 1);
    }

    function _callingCampaign() private returns (CallingToken token, bytes32 campaignId) {
        token = new CallingToken();
        token.mint(ALICE, 1000);
        Crowdfunding.Terms memory terms = _terms();
        terms.token = token;
        campaignId = _create(terms, _milestones());
        VM.prank(ALICE);
        token.approve(address(crowdfunding), 1000);
    }

    function _expectInvalidTerms(Crowdfunding.Terms memory terms) private {
        VM.expectRevert(
            abi.encodeWithSelector(Crowdfunding.InvalidTerms.selector, terms.goal, terms.beneficiary, terms.evaluator)
        );
        crowdfunding.createCampaign(SALT, terms, _milestones());
    }

    function _only(uint256 node) private pure returns (uint256[] memory nodes_) {
        nodes_ = new uint256[](1);
        nodes_[0] = node;
    }
}
