// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {PullPayments} from "./PullPayments.sol";
import {RoundResolver} from "./RoundResolver.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title Campaigns that pay for a swarm's training as it gets on
/// @notice Backers pledge until the deadline. If the goal is not met, or the campaign is cancelled, they fetch everything
/// back. Otherwise each milestone, in its order, releases its share to the beneficiary; what is not released when the
/// campaign ends goes back to the backers by their pledges.
/// @dev No role can hold a refund up: there is no pause, the end is bounded, and each backer fetches alone.
contract Crowdfunding is PullPayments {
    using SafeCast for uint256;

    /// @notice What a milestone is measured by.
    enum Measure {
        /// Rounds attested in the swarm, by the Nodes that the caller names.
        Rounds,
        /// Reward on held-out tasks times 1,000,000, as the campaign's evaluator says.
        HeldOutReward
    }

    /// @notice A step that releases a share of what was raised, in hundredths of a percent.
    struct Milestone {
        Measure measure;
        int64 threshold;
        uint16 share;
    }

    /// @notice A campaign's terms, which never change.
    struct Terms {
        bytes32 swarmId;
        /// Zero for ether.
        IERC20 token;
        /// Who gets what milestones release.
        address beneficiary;
        /// Who measures held-out reward; may be zero where no milestone needs it.
        address evaluator;
        uint128 goal;
        /// Last second for pledges.
        uint64 deadline;
        /// Last second for milestones.
        uint64 end;
    }

    /// @notice A campaign. `raised` is all that was pledged, `unspent` what is still here, `pledged` the pledges of those who
    /// have not fetched anything back, `reached` the number of milestones.
    struct Campaign {
        Terms terms;
        address creator;
        uint8 reached;
        bool cancelled;
        uint128 raised;
        uint128 unspent;
        uint128 pledged;
        Milestone[] milestones;
    }

    /// @notice Sum of the shares of a campaign's milestones.
    uint256 public constant WHOLE = 10_000;
    /// @notice Most milestones of a campaign.
    uint256 public constant MAX_MILESTONES = 16;
    /// @notice Most Nodes whose rounds are counted for a milestone.
    uint256 public constant MAX_NODES = 256;
    /// @notice Longest time from a campaign's beginning to its end, in seconds.
    uint256 public constant MAX_DURATION = 3 * 365 days;
    /// @notice The attestations.
    RoundResolver public immutable RESOLVER;

    /// @notice What a backer pledged and has not fetched back.
    mapping(bytes32 campaignId => mapping(address backer => uint128 amount)) public pledges;

    mapping(bytes32 campaignId => Campaign campaign) private _campaigns;

    /// @notice A campaign began.
    event CampaignCreated(
        bytes32 indexed campaignId,
        bytes32 indexed swarmId,
        address indexed creator,
        Terms terms,
        Milestone[] milestones
    );
    /// @notice A backer pledged.
    event Pledged(bytes32 indexed campaignId, address indexed backer, uint256 amount);
    /// @notice A milestone was reached; `value` is what was measured.
    event MilestoneReached(bytes32 indexed campaignId, uint256 indexed milestone, int256 value, uint256 amount);
    /// @notice The creator cancelled.
    event CampaignCancelled(bytes32 indexed campaignId);
    /// @notice A backer fetched back what remained of its pledge.
    event Refunded(bytes32 indexed campaignId, address indexed backer, address to, uint256 amount);

    /// @notice The creator has a campaign with this salt already.
    error CampaignAlreadyExists(bytes32 campaignId);
    /// @notice No campaign has this id.
    error CampaignNotFound(bytes32 campaignId);
    /// @notice Deadline and end must follow one another, from now on and within `MAX_DURATION`.
    error InvalidTimes(uint64 deadline, uint64 end);
    /// @notice A campaign has a goal, a beneficiary, and an evaluator where a milestone needs one.
    error InvalidTerms(uint128 goal, address beneficiary, address evaluator);
    /// @notice A campaign has 1 to `MAX_MILESTONES`, whose shares are not zero and sum up to `WHOLE`.
    error InvalidMilestones(uint256 count, uint256 shares);
    /// @notice Pledges are taken until the deadline, unless the campaign was cancelled.
    error NotRaising(bytes32 campaignId);
    /// @notice Milestones count after the deadline, until the end, if the goal was met and the campaign not cancelled.
    error NotRunning(bytes32 campaignId);
    /// @notice Nothing goes back while the campaign is raising or running.
    error NotRefunding(bytes32 campaignId);
    /// @notice All milestones were reached.
    error NoMilestoneLeft(bytes32 campaignId);
    /// @notice The next milestone is measured by something else.
    error WrongMeasure(Measure expected);
    /// @notice The next milestone needs more.
    error ThresholdNotReached(int256 value, int64 threshold);
    /// @notice Nodes must be named once each, in ascending order, and at most `MAX_NODES`.
    error InvalidNodes(uint256 position);
    /// @notice Only this account may do this.
    error NotAllowed(address expected, address caller);
    /// @notice The sender has nothing to fetch back.
    error NothingToRefund(bytes32 campaignId, address backer);

    /// @param resolver The attestations.
    constructor(RoundResolver resolver) {
        RESOLVER = resolver;
    }

    /// @notice Begins a campaign.
    /// @param salt Tells the creator's campaigns apart; the id follows from creator and salt alone.
    /// @param terms The campaign's terms.
    /// @param milestones Its milestones in their order.
    /// @return campaignId The campaign's id.
    function createCampaign(bytes32 salt, Terms calldata terms, Milestone[] calldata milestones)
        external
        returns (bytes32 campaignId)
    {
        campaignId = campaignIdOf(msg.sender, salt);
        Campaign storage campaign = _campaigns[campaignId];
        if (campaign.creator != address(0)) {
            revert CampaignAlreadyExists(campaignId);
        }
        _checkTerms(terms, _checkMilestones(milestones));
        campaign.terms = terms;
        campaign.creator = msg.sender;
        for (uint256 i = 0; i < milestones.length; ++i) {
            campaign.milestones.push(milestones[i]);
        }
        emit CampaignCreated(campaignId, terms.swarmId, msg.sender, terms, milestones);
    }

    /// @notice Pledges. Only what arrives counts.
    /// @param campaignId The campaign.
    /// @param amount How much, in the campaign's token; ether is sent along.
    function pledge(bytes32 campaignId, uint256 amount) external payable nonReentrant {
        Campaign storage campaign = _existing(campaignId);
        // forge-lint: disable-next-line(block-timestamp) deadlines are days, a sequencer's leeway seconds
        if (campaign.cancelled || block.timestamp > campaign.terms.deadline) {
            revert NotRaising(campaignId);
        }
        uint128 received = _receive(campaign.terms.token, msg.sender, amount).toUint128();
        pledges[campaignId][msg.sender] += received;
        campaign.raised += received;
        campaign.pledged += received;
        campaign.unspent += received;
        emit Pledged(campaignId, msg.sender, received);
    }

    /// @notice Reaches the next milestone by the rounds that these Nodes have attested in the swarm. Anyone may call.
    /// @param campaignId The campaign.
    /// @param nodeIds The Nodes, ascending.
    function reachByRounds(bytes32 campaignId, uint256[] calldata nodeIds) external {
        Campaign storage campaign = _existing(campaignId);
        uint256 rounds = 0;
        for (uint256 i = 0; i < nodeIds.length; ++i) {
            if (i == MAX_NODES || (i != 0 && nodeIds[i] <= nodeIds[i - 1])) {
                revert InvalidNodes(i);
            }
            rounds += RESOLVER.nextRound(campaign.terms.swarmId, nodeIds[i]) - 1;
        }
        _reach(campaignId, campaign, Measure.Rounds, rounds.toInt256());
    }

    /// @notice Reaches the next milestone by a reward on held-out tasks. Only the campaign's evaluator may call.
    /// @param campaignId The campaign.
    /// @param reward The reward times 1,000,000.
    function reachByReward(bytes32 campaignId, int64 reward) external {
        Campaign storage campaign = _existing(campaignId);
        if (msg.sender != campaign.terms.evaluator) {
            revert NotAllowed(campaign.terms.evaluator, msg.sender);
        }
        _reach(campaignId, campaign, Measure.HeldOutReward, reward);
    }

    /// @notice Cancels a campaign of the sender's: everything unspent goes back.
    function cancel(bytes32 campaignId) external {
        Campaign storage campaign = _existing(campaignId);
        if (msg.sender != campaign.creator) {
            revert NotAllowed(campaign.creator, msg.sender);
        }
        campaign.cancelled = true;
        emit CampaignCancelled(campaignId);
    }

    /// @notice Sends the caller what remains of its pledge: all of it where nothing was released, else its part of what was not.
    /// @dev Each part is of what is still here by what is still pledged, so that the last one leaves nothing behind.
    /// @param campaignId The campaign.
    /// @param to Who gets it.
    /// @return amount What was sent.
    function refund(bytes32 campaignId, address to) external nonReentrant returns (uint256 amount) {
        Campaign storage campaign = _existing(campaignId);
        if (!isRefunding(campaignId)) {
            revert NotRefunding(campaignId);
        }
        uint128 pledged = pledges[campaignId][msg.sender];
        if (pledged == 0 || campaign.unspent == 0) {
            revert NothingToRefund(campaignId, msg.sender);
        }
        amount = uint256(campaign.unspent) * pledged / campaign.pledged;
        pledges[campaignId][msg.sender] = 0;
        campaign.pledged -= pledged;
        // forge-lint: disable-next-line(unsafe-typecast) a part of it
        campaign.unspent -= uint128(amount);
        emit Refunded(campaignId, msg.sender, to, amount);
        _send(campaign.terms.token, to, amount);
    }

    /// @notice The campaign with this id; all zero when there is none.
    function campaignOf(bytes32 campaignId) external view returns (Campaign memory) {
        return _campaigns[campaignId];
    }

    /// @notice Whether backers get back now what is unspent.
    function isRefunding(bytes32 campaignId) public view returns (bool) {
        Campaign storage campaign = _existing(campaignId);
        Terms storage terms = campaign.terms;
        uint256 time = block.timestamp;
        return campaign.cancelled || time > terms.end || (time > terms.deadline && campaign.raised < terms.goal);
    }

    /// @notice The id that `createCampaign` gives this creator's campaign with this salt.
    function campaignIdOf(address creator, bytes32 salt) public pure returns (bytes32) {
        return keccak256(abi.encode(creator, salt));
    }

    function _reach(bytes32 campaignId, Campaign storage campaign, Measure measure, int256 value) private {
        // forge-lint: disable-next-line(block-timestamp) periods are days, a sequencer's leeway seconds
        if (isRefunding(campaignId) || block.timestamp <= campaign.terms.deadline) {
            revert NotRunning(campaignId);
        }
        uint256 position = campaign.reached;
        if (position == campaign.milestones.length) {
            revert NoMilestoneLeft(campaignId);
        }
        Milestone memory milestone = campaign.milestones[position];
        if (measure != milestone.measure) {
            revert WrongMeasure(milestone.measure);
        }
        if (value < milestone.threshold) {
            revert ThresholdNotReached(value, milestone.threshold);
        }
        campaign.reached += 1;
        uint128 amount = campaign.reached == campaign.milestones.length
            ? campaign.unspent
            : (uint256(campaign.raised) * milestone.share / WHOLE).toUint128();
        campaign.unspent -= amount;
        _credit(campaign.terms.token, campaign.terms.beneficiary, amount);
        emit MilestoneReached(campaignId, position, value, amount);
    }

    function _checkTerms(Terms calldata terms, bool evaluated) private view {
        uint256 time = block.timestamp;
        if (terms.deadline <= time || terms.end <= terms.deadline || terms.end > time + MAX_DURATION) {
            revert InvalidTimes(terms.deadline, terms.end);
        }
        if (terms.goal == 0 || terms.beneficiary == address(0) || (evaluated && terms.evaluator == address(0))) {
            revert InvalidTerms(terms.goal, terms.beneficiary, terms.evaluator);
        }
    }

    /// @dev Returns whether one of them needs an evaluator.
    function _checkMilestones(Milestone[] calldata milestones) private pure returns (bool evaluated) {
        uint256 shares = 0;
        bool empty = milestones.length == 0 || milestones.length > MAX_MILESTONES;
        for (uint256 i = 0; i < milestones.length && !empty; ++i) {
            shares += milestones[i].share;
            empty = milestones[i].share == 0;
            evaluated = evaluated || milestones[i].measure == Measure.HeldOutReward;
        }
        if (empty || shares != WHOLE) {
            revert InvalidMilestones(milestones.length, shares);
        }
    }

    function _existing(bytes32 campaignId) private view returns (Campaign storage campaign) {
        campaign = _campaigns[campaignId];
        if (campaign.creator == address(0)) {
            revert CampaignNotFound(campaignId);
        }
    }
}
