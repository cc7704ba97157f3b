// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fixture} from "../harness/Fixture.sol";
import {FuzzSelector, VM} from "../harness/Vm.sol";
import {Earners} from "./Earners.sol";

/// @notice The treasury neither makes money nor loses any, whoever does what in whatever order.
contract EscrowInvariants is Fixture {
    Earners private earners;

    function setUp() public override {
        super.setUp();
        earners = new Earners(treasury, eas);
    }

    /// @dev Read by the fuzzer: the only contract it calls.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(earners);
    }

    /// @dev Read by the fuzzer: the function of it that is no step.
    function excludeSelectors() external view returns (FuzzSelector[] memory excluded) {
        excluded = new FuzzSelector[](1);
        excluded[0].addr = address(earners);
        excluded[0].selectors = new bytes4[](1);
        excluded[0].selectors[0] = earners.end.selector;
    }

    function invariant_whatIsHeldIsWhatIsOwed() public view {
        for (uint256 token = 0; token < earners.TOKENS(); ++token) {
            VM.assertEq(earners.held(token), earners.owed(token), "no money made, none lost");
        }
        for (uint256 pool = 0; pool < earners.pools(); ++pool) {
            VM.assertEq(earners.funded(pool), earners.spent(pool) + earners.escrow(pool), "payouts and dust");
        }
    }

    /// @dev Run by Foundry after each sequence: from wherever it led, everybody gets what is theirs, and nothing stays.
    function afterInvariant() public {
        earners.end();
        for (uint256 token = 0; token < earners.TOKENS(); ++token) {
            VM.assertEq(earners.held(token), 0, "everything went out");
        }
    }
}
