// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SwarmRegistry} from "../../src/SwarmRegistry.sol";
import {Fixture} from "../harness/Fixture.sol";
import {VM} from "../harness/Vm.sol";
import {Participants} from "./Participants.sol";

contract ParticipationInvariants is Fixture {
    Participants private participants;

    function setUp() public override {
        super.setUp();
        participants = new Participants(nodes, swarms, resolver, eas);
    }

    /// @dev Read by the fuzzer: the only contract it calls.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(participants);
    }

    function invariant_membershipAndKeysAreWhatTheStepsSay() public view {
        for (uint256 swarm = 0; swarm < participants.SWARMS(); ++swarm) {
            _checkMembers(swarm);
            for (uint256 node = 0; node < participants.NODES(); ++node) {
                uint64 next = resolver.nextRound(participants.swarmId(swarm), participants.nodeId(node));
                VM.assertEq(participants.highest(swarm, node) + 1, next, "no round made up");
            }
        }
        for (uint256 node = 0; node < participants.NODES(); ++node) {
            uint256 key = participants.keyIndex(node);
            address expected = key == participants.KEYS() ? address(0) : participants.keyAddress(key);
            VM.assertEq(nodes.keyOf(participants.nodeId(node)), expected);
        }
        for (uint256 key = 0; key < participants.KEYS(); ++key) {
            uint256 nodeId = nodes.nodeOf(participants.keyAddress(key));
            VM.assertTrue(nodeId == 0 || nodes.keyOf(nodeId) == participants.keyAddress(key), "a key of two Nodes");
        }
    }

    /// @dev Run by Foundry after each sequence: each round up to the last was attested exactly once.
    function afterInvariant() public view {
        for (uint256 swarm = 0; swarm < participants.SWARMS(); ++swarm) {
            for (uint256 node = 0; node < participants.NODES(); ++node) {
                uint64 next = resolver.nextRound(participants.swarmId(swarm), participants.nodeId(node));
                for (uint64 round = 1; round < next; ++round) {
                    VM.assertEq(participants.times(swarm, node, round), 1, "none lost, none twice");
                }
            }
        }
    }

    function _checkMembers(uint256 swarm) private view {
        bytes32 swarmId = participants.swarmId(swarm);
        uint256 members = 0;
        for (uint256 node = 0; node < participants.NODES(); ++node) {
            SwarmRegistry.Standing standing = swarms.standingOf(swarmId, participants.nodeId(node));
            VM.assertEq(uint256(standing), uint256(participants.standing(swarm, node)));
            bool member = swarms.isMember(swarmId, participants.nodeId(node));
            VM.assertTrue(member == (standing == SwarmRegistry.Standing.Member));
            members += member ? 1 : 0;
        }
        VM.assertEq(swarms.swarmOf(swarmId).members, members);
    }
}
