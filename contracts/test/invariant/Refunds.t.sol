// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SwarmRegistry} from "../../src/SwarmRegistry.sol";
import {Fixture} from "../harness/Fixture.sol";
import {FuzzSelector, VM} from "../harness/Vm.sol";
import {Backers} from "./Backers.sol";

/// @notice Nobody and nothing keeps a backer's money from going where the campaign's terms say.
contract RefundInvariants is Fixture {
    Backers private backers;

    function setUp() public override {
        super.setUp();
        backers = new Backers(crowdfunding, eas, _createSwarm(SwarmRegistry.Policy.Open));
    }

    /// @dev Read by the fuzzer: the only contract it calls.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(backers);
    }

    /// @dev Read by the fuzzer: the function of it that is no step.
    function excludeSelectors() external view returns (FuzzSelector[] memory excluded) {
        excluded = new FuzzSelector[](1);
        excluded[0].addr = address(backers);
        excluded[0].selectors = new bytes4[](1);
        excluded[0].selectors[0] = backers.end.selector;
    }

    function invariant_whatIsHeldIsWhatIsOwed() public view {
        for (uint256 campaign = 0; campaign < backers.CAMPAIGNS(); ++campaign) {
            VM.assertEq(backers.held(campaign), backers.owed(campaign), "no money made, none lost");
            (uint256 sum, uint256 ofEach) = backers.pledges(campaign);
            VM.assertEq(sum, ofEach, "pledges add up");
        }
    }

    /// @dev Run by Foundry after each sequence: from wherever it led, all money finds its owner, and none stays.
    function afterInvariant() public {
        backers.end();
        for (uint256 campaign = 0; campaign < backers.CAMPAIGNS(); ++campaign) {
            VM.assertEq(backers.held(campaign), 0, "everything went out");
            VM.assertEq(backers.raised(campaign), backers.released(campaign) + backers.refunded(campaign));
        }
    }
}
