// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IVerifier} from "./IVerifier.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title What a swarm's registry asks of a treasury
interface ITreasury {
    /// @notice What a pool pays for: a round, or a million tokens sampled.
    enum Unit {
        Round,
        MillionTokens
    }

    /// @notice A pool's terms.
    struct Terms {
        bytes32 swarmId;
        /// Zero for ether.
        IERC20 token;
        Unit unit;
        /// Reward for one unit, in the token's smallest part.
        uint128 rate;
        /// Seconds after its attestation in which a round can be disputed and is not paid.
        uint32 window;
        /// Who accepts attestations; zero where the swarm takes its Nodes' word.
        IVerifier verifier;
    }

    /// @notice Opens the pool that is a swarm's budget and pays the amount into it, both for the swarm's owner. Only for the
    /// treasury's own swarm registry, which asks for it in the owner's name while the owner creates the swarm.
    /// @param owner The swarm's owner, who pays where the budget is in a token.
    /// @param terms The pool's terms; the pool's salt is the swarm's id.
    /// @param amount How much, in the pool's token; ether is sent along.
    /// @return poolId The pool's id.
    function openBudget(address owner, Terms calldata terms, uint256 amount) external payable returns (bytes32 poolId);
}
