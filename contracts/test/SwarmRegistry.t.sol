// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SwarmRegistry} from "../src/SwarmRegistry.sol";
import {IStakes} from "../src/interfaces/IStakes.sol";
import {Stakes} from "./harness/Doubles.sol";
import {Fixture} from "./harness/Fixture.sol";
import {VM} from "./harness/Vm.sol";

contract SwarmRegistryTest is Fixture {
    bytes32 private constant NO_SWARM = keccak256("none");

    function testFuzz_createSwarm(address owner, bytes32 salt, bytes32 config, bool invited) public {
        VM.assume(owner != address(0) && owner != address(VM));
        SwarmRegistry.Policy policy = invited ? SwarmRegistry.Policy.Invited : SwarmRegistry.Policy.Open;
        bytes32 expected = keccak256(abi.encode(owner, salt));
        VM.expectEmit(address(swarms));
        emit SwarmRegistry.SwarmCreated(expected, owner, config, policy, "ipfs://swarm");
        VM.prank(owner);
        bytes32 swarmId = swarms.createSwarm(salt, config, policy, "ipfs://swarm");
        VM.assertEq(swarmId, expected);
        SwarmRegistry.Swarm memory swarm = swarms.swarmOf(swarmId);
        VM.assertEq(swarm.owner, owner);
        VM.assertEq(swarm.config, config);
        VM.assertEq(uint256(swarm.policy), uint256(policy));
        VM.assertEq(swarm.members, 0);
    }

    function test_createSwarm_twiceReverts() public {
        bytes32 swarmId = _createSwarm(SwarmRegistry.Policy.Open);
        VM.prank(swarmOwner);
        VM.expectRevert(abi.encodeWithSelector(SwarmRegistry.SwarmAlreadyExists.selector, swarmId));
        swarms.createSwarm(SALT, CONFIG, SwarmRegistry.Policy.Open, "");
    }

    function test_createSwarm_longUriReverts() public {
        VM.expectRevert(abi.encodeWithSelector(SwarmRegistry.TooLong.selector, "uri", 2049, 2048));
        swarms.createSwarm(SALT, CONFIG, SwarmRegistry.Policy.Open, string(new bytes(2049)));
    }

    function test_fields_ofTheLongestLength() public {
        VM.prank(swarmOwner);
        bytes32 swarmId = swarms.createSwarm(SALT, CONFIG, SwarmRegistry.Policy.Open, string(new bytes(2048)));
        uint256 nodeId = _register(KEY);
        _join(swarmId, KEY);
        VM.prank(swarmOwner);
        swarms.eject(swarmId, nodeId, string(new bytes(256)));
        VM.assertFalse(swarms.isMember(swarmId, nodeId));
    }

    function test_join_open() public {
        uint256 nodeId = _register(KEY);
        bytes32 swarmId = _createSwarm(SwarmRegistry.Policy.Open);
        VM.expectEmit(address(swarms));
        emit SwarmRegistry.NodeJoined(swarmId, nodeId);
        _join(swarmId, KEY);
        VM.assertTrue(swarms.isMember(swarmId, nodeId));
        VM.assertEq(swarms.swarmOf(swarmId).members, 1);
    }

    function test_join_byTheOwnerOfTheNode() public {
        address owner = address(0x0113);
        bytes memory signature = _signRegistration(KEY, owner, 0, block.timestamp);
        uint256 nodeId = nodes.registerKey(VM.addr(KEY), owner, "", block.timestamp, signature);
        bytes32 swarmId = _createSwarm(SwarmRegistry.Policy.Open);
        VM.prank(owner);
        swarms.join(swarmId, nodeId);
        VM.assertTrue(swarms.isMember(swarmId, nodeId));
    }

    function testFuzz_join_byAStrangerReverts(address stranger) public {
        VM.assume(stranger != VM.addr(KEY));
        uint256 nodeId = _register(KEY);
        bytes32 swarmId = _createSwarm(SwarmRegistry.Policy.Open);
        VM.prank(stranger);
        VM.expectRevert(abi.encodeWithSelector(SwarmRegistry.NotInControl.selector, nodeId, stranger));
        swarms.join(swarmId, nodeId);
    }

    function test_join_unregisteredReverts() public {
        bytes32 swarmId = _createSwarm(SwarmRegistry.Policy.Open);
        address key = VM.addr(KEY);
        VM.prank(key);
        VM.expectRevert(abi.encodeWithSelector(SwarmRegistry.NotInControl.selector, uint160(key), key));
        swarms.join(swarmId, uint160(key));
    }

    function test_join_unknownSwarmReverts() public {
        uint256 nodeId = _register(KEY);
        VM.prank(VM.addr(KEY));
        VM.expectRevert(abi.encodeWithSelector(SwarmRegistry.SwarmNotFound.selector, NO_SWARM));
        swarms.join(NO_SWARM, nodeId);
    }

    function test_join_twiceReverts() public {
        (bytes32 swarmId, uint256 nodeId) = _member(KEY);
        VM.prank(VM.addr(KEY));
        VM.expectRevert(_wrongStanding(swarmId, nodeId, SwarmRegistry.Standing.Member));
        swarms.join(swarmId, nodeId);
    }

    function test_join_uninvitedReverts() public {
        uint256 nodeId = _register(KEY);
        bytes32 swarmId = _createSwarm(SwarmRegistry.Policy.Invited);
        VM.prank(VM.addr(KEY));
        VM.expectRevert(_wrongStanding(swarmId, nodeId, SwarmRegistry.Standing.None));
        swarms.join(swarmId, nodeId);
    }

    function test_join_usesTheInvitationUp() public {
        bytes32 swarmId = _createSwarm(SwarmRegistry.Policy.Invited);
        uint256 nodeId = uint160(VM.addr(KEY));
        VM.expectEmit(address(swarms));
        emit SwarmRegistry.NodeInvited(swarmId, nodeId);
        VM.prank(swarmOwner);
        swarms.invite(swarmId, nodeId);
        _register(KEY);
        _join(swarmId, KEY);
        VM.assertTrue(swarms.isMember(swarmId, nodeId));
        VM.prank(VM.addr(KEY));
        swarms.quit(swarmId, nodeId);
        VM.prank(VM.addr(KEY));
        VM.expectRevert(_wrongStanding(swarmId, nodeId, SwarmRegistry.Standing.Left));
        swarms.join(swarmId, nodeId);
    }

    function test_invite_byAStrangerReverts() public {
        bytes32 swarmId = _createSwarm(SwarmRegistry.Policy.Invited);
        VM.expectRevert(abi.encodeWithSelector(SwarmRegistry.NotSwarmOwner.selector, swarmId, address(this)));
        swarms.invite(swarmId, 7);
    }

    function test_invite_toAnUnknownSwarmReverts() public {
        VM.expectRevert(abi.encodeWithSelector(SwarmRegistry.SwarmNotFound.selector, NO_SWARM));
        swarms.invite(NO_SWARM, 7);
    }

    function test_invite_twiceOrAMemberReverts() public {
        (bytes32 swarmId, uint256 nodeId) = _member(KEY);
        VM.prank(swarmOwner);
        VM.expectRevert(_wrongStanding(swarmId, nodeId, SwarmRegistry.Standing.Member));
        swarms.invite(swarmId, nodeId);
        VM.prank(swarmOwner);
        swarms.invite(swarmId, 7);
        VM.prank(swarmOwner);
        VM.expectRevert(_wrongStanding(swarmId, 7, SwarmRegistry.Standing.Invited));
        swarms.invite(swarmId, 7);
    }

    function test_quit_andComeBackToAnOpenSwarm() public {
        (bytes32 swarmId, uint256 nodeId) = _member(KEY);
        VM.expectEmit(address(swarms));
        emit SwarmRegistry.NodeLeft(swarmId, nodeId);
        VM.prank(VM.addr(KEY));
        swarms.quit(swarmId, nodeId);
        VM.assertFalse(swarms.isMember(swarmId, nodeId));
        VM.assertEq(swarms.swarmOf(swarmId).members, 0);
        _join(swarmId, KEY);
        VM.assertTrue(swarms.isMember(swarmId, nodeId));
    }

    function test_quit_byAStrangerReverts() public {
        (bytes32 swarmId, uint256 nodeId) = _member(KEY);
        VM.expectRevert(abi.encodeWithSelector(SwarmRegistry.NotInControl.selector, nodeId, address(this)));
        swarms.quit(swarmId, nodeId);
    }

    function test_quit_byANonMemberReverts() public {
        uint256 nodeId = _register(KEY);
        bytes32 swarmId = _createSwarm(SwarmRegistry.Policy.Open);
        VM.prank(VM.addr(KEY));
        VM.expectRevert(_wrongStanding(swarmId, nodeId, SwarmRegistry.Standing.None));
        swarms.quit(swarmId, nodeId);
    }

    function test_eject_barsTheNodeUntilInvited() public {
        (bytes32 swarmId, uint256 nodeId) = _member(KEY);
        VM.expectEmit(address(swarms));
        emit SwarmRegistry.NodeEjected(swarmId, nodeId, "forged rewards");
        VM.prank(swarmOwner);
        swarms.eject(swarmId, nodeId, "forged rewards");
        VM.assertFalse(swarms.isMember(swarmId, nodeId));
        VM.assertEq(swarms.swarmOf(swarmId).members, 0);
        VM.prank(VM.addr(KEY));
        VM.expectRevert(_wrongStanding(swarmId, nodeId, SwarmRegistry.Standing.Ejected));
        swarms.join(swarmId, nodeId);
        VM.prank(swarmOwner);
        swarms.invite(swarmId, nodeId);
        _join(swarmId, KEY);
        VM.assertTrue(swarms.isMember(swarmId, nodeId));
    }

    function test_eject_takesAnInvitationBack() public {
        bytes32 swarmId = _createSwarm(SwarmRegistry.Policy.Invited);
        uint256 nodeId = _register(KEY);
        VM.prank(swarmOwner);
        swarms.invite(swarmId, nodeId);
        VM.prank(swarmOwner);
        swarms.eject(swarmId, nodeId, "");
        VM.assertEq(uint256(swarms.standingOf(swarmId, nodeId)), uint256(SwarmRegistry.Standing.Ejected));
        VM.assertEq(swarms.swarmOf(swarmId).members, 0);
    }

    function test_eject_byAStrangerReverts() public {
        (bytes32 swarmId, uint256 nodeId) = _member(KEY);
        VM.expectRevert(abi.encodeWithSelector(SwarmRegistry.NotSwarmOwner.selector, swarmId, address(this)));
        swarms.eject(swarmId, nodeId, "");
    }

    function test_eject_ofNoMemberReverts() public {
        bytes32 swarmId = _createSwarm(SwarmRegistry.Policy.Open);
        VM.prank(swarmOwner);
        VM.expectRevert(_wrongStanding(swarmId, 7, SwarmRegistry.Standing.None));
        swarms.eject(swarmId, 7, "");
    }

    function test_eject_longReasonReverts() public {
        (bytes32 swarmId, uint256 nodeId) = _member(KEY);
        VM.prank(swarmOwner);
        VM.expectRevert(abi.encodeWithSelector(SwarmRegistry.TooLong.selector, "reason", 257, 256));
        swarms.eject(swarmId, nodeId, string(new bytes(257)));
    }

    function testFuzz_createStakedSwarm(uint256 minimum) public {
        VM.assume(minimum != 0);
        Stakes stakes = new Stakes();
        bytes32 expected = swarms.swarmIdOf(swarmOwner, SALT);
        VM.expectEmit(address(swarms));
        emit SwarmRegistry.SwarmCreated(expected, swarmOwner, CONFIG, SwarmRegistry.Policy.Staked, "ipfs://swarm");
        VM.expectEmit(address(swarms));
        emit SwarmRegistry.StakeRequired(expected, stakes, minimum);
        bytes32 swarmId = _createStakedSwarm(stakes, minimum);
        VM.assertEq(swarmId, expected);
        VM.assertEq(swarms.stakeTermsOf(swarmId).minimum, minimum);
        VM.assertEq(address(swarms.stakeTermsOf(swarmId).stakes), address(stakes));
        VM.assertEq(uint256(swarms.swarmOf(swarmId).policy), uint256(SwarmRegistry.Policy.Staked));
    }

    function test_createStakedSwarm_withoutTermsReverts() public {
        IStakes none = IStakes(address(0));
        VM.expectRevert(abi.encodeWithSelector(SwarmRegistry.InvalidStakeTerms.selector, none, 0));
        swarms.createSwarm(SALT, CONFIG, SwarmRegistry.Policy.Staked, "");
        VM.expectRevert(abi.encodeWithSelector(SwarmRegistry.InvalidStakeTerms.selector, none, 5));
        _createStakedSwarm(none, 5);
        Stakes stakes = new Stakes();
        VM.expectRevert(abi.encodeWithSelector(SwarmRegistry.InvalidStakeTerms.selector, stakes, 0));
        _createStakedSwarm(stakes, 0);
    }

    function test_join_stakedSwarmByStake() public {
        Stakes stakes = new Stakes();
        uint256 nodeId = _register(KEY);
        bytes32 swarmId = _createStakedSwarm(stakes, 5);
        stakes.set(swarmId, nodeId, 4);
        VM.prank(VM.addr(KEY));
        VM.expectRevert(abi.encodeWithSelector(SwarmRegistry.StakeTooLow.selector, swarmId, nodeId, 4, 5));
        swarms.join(swarmId, nodeId);
        stakes.set(swarmId, nodeId, 5);
        _join(swarmId, KEY);
        VM.assertTrue(swarms.isMember(swarmId, nodeId));
        VM.prank(VM.addr(KEY));
        swarms.quit(swarmId, nodeId);
        _join(swarmId, KEY);
        VM.prank(swarmOwner);
        swarms.eject(swarmId, nodeId, "");
        VM.prank(VM.addr(KEY));
        VM.expectRevert(_wrongStanding(swarmId, nodeId, SwarmRegistry.Standing.Ejected));
        swarms.join(swarmId, nodeId);
        VM.prank(swarmOwner);
        swarms.invite(swarmId, nodeId);
        stakes.slash(swarmId, nodeId, 0, 1, swarmOwner);
        VM.prank(VM.addr(KEY));
        VM.expectRevert(abi.encodeWithSelector(SwarmRegistry.StakeTooLow.selector, swarmId, nodeId, 4, 5));
        swarms.join(swarmId, nodeId);
    }

    function _createStakedSwarm(IStakes stakes, uint256 minimum) private returns (bytes32) {
        VM.prank(swarmOwner);
        return swarms.createStakedSwarm(SALT, CONFIG, SwarmRegistry.StakeTerms(stakes, minimum), "ipfs://swarm");
    }

    function _wrongStanding(bytes32 swarmId, uint256 nodeId, SwarmRegistry.Standing standing)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(SwarmRegistry.WrongStanding.selector, swarmId, nodeId, standing);
    }
}
