// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Who says how much of an attestation counts
/// @notice A pool of the treasury that names a verifier pays for what the verifier accepted and never for more than was
/// attested. A dispute game is one: what nobody challenged within its window it accepts.
interface IVerifier {
    /// @notice How much of an attestation was accepted.
    struct Verdict {
        /// Whether this is final. Until then nothing is paid, and nothing is lost.
        bool decided;
        /// Accepted rounds.
        uint64 rounds;
        /// Accepted tokens.
        uint64 tokens;
    }

    /// @notice The verdict on the attestation `uid` of a Node's rounds `firstRound` to `lastRound`.
    function verdict(bytes32 uid, bytes32 swarmId, uint256 nodeId, uint64 firstRound, uint64 lastRound)
        external
        view
        returns (Verdict memory);
}
