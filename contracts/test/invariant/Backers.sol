// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Crowdfunding} from "../../src/Crowdfunding.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {RoundResolver} from "../../src/RoundResolver.sol";
import {SwarmRegistry} from "../../src/SwarmRegistry.sol";
import {FeeToken, Token} from "../harness/Tokens.sol";
import {VM} from "../harness/Vm.sol";
import {
    AttestationRequest,
    AttestationRequestData,
    IEAS
} from "@ethereum-attestation-service/eas-contracts/contracts/IEAS.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @notice Backers, creators, evaluators and Nodes who pledge, train, measure, cancel and fetch back as it comes to their
/// mind. Beside the campaigns runs a plain model that says what must be taken and what refused; a step on which they
/// differ fails.
contract Backers {
    uint256 public constant CAMPAIGNS = 3;
    uint256 public constant BACKERS = 4;
    bytes32 private constant ROOT = keccak256("root");
    uint128 private constant GOAL = 2e24;

    Crowdfunding private immutable CROWDFUNDING;
    IEAS private immutable EAS;
    bytes32 private immutable SWARM;
    uint64 private immutable START = uint64(block.timestamp);
    uint64 private rounds;

    IERC20[CAMPAIGNS] private _tokens;
    bytes32[CAMPAIGNS] private _ids;
    mapping(uint256 campaign => bool) private _cancelled;
    mapping(uint256 campaign => uint256) private _reached;
    mapping(uint256 campaign => uint256) private _credit;
    mapping(uint256 campaign => mapping(uint256 backer => uint256)) private _pledged;
    /// @notice All that was pledged, that milestones released, and that went back.
    mapping(uint256 campaign => uint256) public raised;
    mapping(uint256 campaign => uint256) public released;
    mapping(uint256 campaign => uint256) public refunded;

    constructor(Crowdfunding crowdfunding, IEAS eas, bytes32 swarmId) {
        (CROWDFUNDING, EAS, SWARM) = (crowdfunding, eas, swarmId);
        (NodeRegistry nodes, SwarmRegistry swarms) = (crowdfunding.RESOLVER().NODES(), crowdfunding.RESOLVER().SWARMS());
        VM.prank(address(uint160(node())));
        nodes.register();
        VM.prank(address(uint160(node())));
        swarms.join(swarmId, node());
        (_tokens[1], _tokens[2]) = (new Token(), new FeeToken());
        for (uint256 campaign = 0; campaign < CAMPAIGNS; ++campaign) {
            VM.prank(creator(campaign));
            _ids[campaign] = crowdfunding.createCampaign(0, _terms(campaign), _milestones());
            for (uint256 i = 0; i < BACKERS && campaign != 0; ++i) {
                VM.prank(backer(i));
                _tokens[campaign].approve(address(crowdfunding), type(uint256).max);
            }
        }
    }

    function pledge(uint256 campaign, uint256 who, uint256 amount) external {
        (campaign, who, amount) = (campaign % CAMPAIGNS, who % BACKERS, 1 + amount % 1e24);
        bool allowed = !_cancelled[campaign] && _now() <= START + 10 days;
        if (campaign == 0) {
            VM.deal(backer(who), amount);
        } else {
            Token(address(_tokens[campaign])).mint(backer(who), amount);
        }
        VM.prank(backer(who));
        try CROWDFUNDING.pledge{value: campaign == 0 ? amount : 0}(_ids[campaign], amount) {
            VM.assertTrue(allowed, "pledged against the rules");
            amount -= campaign == 2 ? amount / 100 : 0;
            _pledged[campaign][who] += amount;
            raised[campaign] += amount;
        } catch {
            VM.assertFalse(allowed);
        }
    }

    function train(uint64 length) external {
        uint64 first = rounds + 1;
        rounds = first + length % 4;
        RoundResolver.Rounds memory attested =
            RoundResolver.Rounds(SWARM, node(), first, rounds, ROOT, first == 1 ? bytes32(0) : ROOT, ROOT, 0, 0, 0, 0);
        bytes32 schema = CROWDFUNDING.RESOLVER().SCHEMA_UID();
        AttestationRequestData memory data = AttestationRequestData(address(0), 0, false, 0, abi.encode(attested), 0);
        VM.prank(address(uint160(node())));
        EAS.attest(AttestationRequest(schema, data));
    }

    function reachByRounds(uint256 campaign) external {
        campaign %= CAMPAIGNS;
        uint256[] memory nodes = new uint256[](1);
        nodes[0] = node();
        bool allowed = _isRunning(campaign) && _reached[campaign] % 2 == 0 && rounds >= 8 * (_reached[campaign] + 1);
        try CROWDFUNDING.reachByRounds(_ids[campaign], nodes) {
            VM.assertTrue(allowed, "reached against the rules");
            _release(campaign);
        } catch {
            VM.assertFalse(allowed);
        }
    }

    function reachByReward(uint256 campaign, int64 reward, uint256 sender) external {
        campaign %= CAMPAIGNS;
        bool allowed = sender % 4 != 0 && _isRunning(campaign) && _reached[campaign] % 2 == 1 && reward >= 0;
        VM.prank(sender % 4 != 0 ? evaluator() : creator(campaign));
        try CROWDFUNDING.reachByReward(_ids[campaign], reward) {
            VM.assertTrue(allowed, "reached against the rules");
            _release(campaign);
        } catch {
            VM.assertFalse(allowed);
        }
    }

    function cancel(uint256 campaign, uint256 sender) external {
        campaign %= CAMPAIGNS;
        bool allowed = sender % 16 == 0;
        VM.prank(allowed ? creator(campaign) : backer(0));
        try CROWDFUNDING.cancel(_ids[campaign]) {
            VM.assertTrue(allowed, "cancelled against the rules");
            _cancelled[campaign] = true;
        } catch {
            VM.assertFalse(allowed);
        }
    }

    function refund(uint256 campaign, uint256 who, bool toAnother) external {
        (campaign, who) = (campaign % CAMPAIGNS, who % BACKERS);
        uint256 unspent = raised[campaign] - released[campaign] - refunded[campaign];
        bool allowed = _isRefunding(campaign) && _pledged[campaign][who] != 0 && unspent != 0;
        uint256 part = allowed ? unspent * _pledged[campaign][who] / _outstanding(campaign) : 0;
        VM.prank(backer(who));
        try CROWDFUNDING.refund(_ids[campaign], toAnother ? address(0xCA54) : backer(who)) returns (uint256 amount) {
            VM.assertTrue(allowed, "refunded against the rules");
            VM.assertEq(amount, released[campaign] == 0 ? _pledged[campaign][who] : part, "not the backer's part");
            refunded[campaign] += amount;
            _pledged[campaign][who] = 0;
        } catch {
            VM.assertFalse(allowed);
        }
    }

    function claim(uint256 campaign) external {
        campaign %= CAMPAIGNS;
        uint256 due = _credit[campaign];
        VM.prank(beneficiary());
        try CROWDFUNDING.claim(_tokens[campaign]) returns (uint256 amount) {
            VM.assertTrue(due != 0, "claimed nothing");
            VM.assertEq(amount, due, "claimed what was not released");
            _credit[campaign] = 0;
        } catch {
            VM.assertEq(due, 0);
        }
    }

    function pass(uint256 time) external {
        VM.warp(block.timestamp + time % 6 days);
    }

    /// @notice Lets all campaigns come to their end and everybody fetch what is theirs.
    function end() external {
        VM.warp(block.timestamp + 101 days);
        for (uint256 campaign = 0; campaign < CAMPAIGNS; ++campaign) {
            for (uint256 who = 0; who < BACKERS; ++who) {
                this.refund(campaign, who, false);
            }
            this.claim(campaign);
        }
    }

    /// @notice What the contract has for a campaign.
    function held(uint256 campaign) external view returns (uint256) {
        return campaign == 0 ? address(CROWDFUNDING).balance : _tokens[campaign].balanceOf(address(CROWDFUNDING));
    }

    /// @notice What the contract says that it owes for a campaign: to backers or milestones, and to the beneficiary.
    function owed(uint256 campaign) external view returns (uint256) {
        return
            CROWDFUNDING.campaignOf(_ids[campaign]).unspent + CROWDFUNDING.claimable(_tokens[campaign], beneficiary());
    }

    /// @notice What the contract says is still pledged, in sum and by each backer.
    function pledges(uint256 campaign) external view returns (uint256 sum, uint256 ofEach) {
        for (uint256 who = 0; who < BACKERS; ++who) {
            ofEach += CROWDFUNDING.pledges(_ids[campaign], backer(who));
        }
        return (CROWDFUNDING.campaignOf(_ids[campaign]).pledged, ofEach);
    }

    /// @dev Addresses without a private key: nothing has to be signed here.
    function node() public pure returns (uint256) {
        return 0x40DE00;
    }

    function backer(uint256 who) public pure returns (address) {
        // forge-lint: disable-next-line(unsafe-typecast) one of a few
        return address(uint160(0xBACC00 + who));
    }

    function creator(uint256 campaign) public pure returns (address) {
        // forge-lint: disable-next-line(unsafe-typecast) one of a few
        return address(uint160(0xC4EA00 + campaign));
    }

    function beneficiary() public pure returns (address) {
        return address(0xBE4E00);
    }

    function evaluator() public pure returns (address) {
        return address(0xE7A100);
    }

    function _release(uint256 campaign) private {
        uint256 unspent = raised[campaign] - released[campaign];
        uint256 amount = ++_reached[campaign] == 3 ? unspent : raised[campaign] * 3333 / 10_000;
        released[campaign] += amount;
        _credit[campaign] += amount;
    }

    function _outstanding(uint256 campaign) private view returns (uint256 sum) {
        for (uint256 who = 0; who < BACKERS; ++who) {
            sum += _pledged[campaign][who];
        }
    }

    function _now() private view returns (uint256) {
        return block.timestamp;
    }

    function _isRefunding(uint256 campaign) private view returns (bool) {
        bool failed = _now() > START + 10 days && raised[campaign] < GOAL;
        return _cancelled[campaign] || failed || _now() > START + 40 days;
    }

    function _isRunning(uint256 campaign) private view returns (bool) {
        return !_isRefunding(campaign) && _now() > START + 10 days && _reached[campaign] < 3;
    }

    function _terms(uint256 campaign) private view returns (Crowdfunding.Terms memory) {
        return Crowdfunding.Terms({
            swarmId: SWARM,
            token: _tokens[campaign],
            beneficiary: beneficiary(),
            evaluator: evaluator(),
            goal: GOAL,
            deadline: START + 10 days,
            end: START + 40 days
        });
    }

    function _milestones() private pure returns (Crowdfunding.Milestone[] memory milestones) {
        milestones = new Crowdfunding.Milestone[](3);
        milestones[0] = Crowdfunding.Milestone(Crowdfunding.Measure.Rounds, 8, 3333);
        milestones[1] = Crowdfunding.Milestone(Crowdfunding.Measure.HeldOutReward, 0, 3333);
        milestones[2] = Crowdfunding.Milestone(Crowdfunding.Measure.Rounds, 24, 3334);
    }
}
