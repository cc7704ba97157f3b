// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What Nodes stake in a swarm
/// @notice A swarm of the policy Staked asks this contract at each joining. It must not give a stake back while its Node is
/// a member (`SwarmRegistry.isMember`).
interface IStakes {
    /// @notice A Node lost part of its stake.
    event Slashed(bytes32 indexed swarmId, uint256 indexed nodeId, bytes32 indexed uid, uint256 amount, address to);

    /// @notice What the Node has at stake in the swarm, in the contract's own unit.
    function stakeOf(bytes32 swarmId, uint256 nodeId) external view returns (uint256);

    /// @notice Takes from a Node's stake, for its attestation `uid` that was found wrong. Only the dispute game that the
    /// stakes were given under may call it.
    function slash(bytes32 swarmId, uint256 nodeId, bytes32 uid, uint256 amount, address to) external;
}
