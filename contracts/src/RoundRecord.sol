// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice What a Node says of one finished round. Rounds count from 1.
/// @dev The digest of a record is SHA-256 of its ABI encoding, 416 bytes.
struct RoundRecord {
    uint256 chainId;
    /// The NodeRegistry that knows the Node.
    address registry;
    bytes32 swarmId;
    uint256 nodeId;
    uint64 round;
    /// Digest of the record before; zero for the first round.
    bytes32 previous;
    /// Digest of the configuration that the round ran with.
    bytes32 config;
    bytes32 modelBefore;
    bytes32 modelAfter;
    /// Merkle root of the digests of the rollouts that the Node sampled.
    bytes32 rolloutsRoot;
    uint64 samples;
    /// Mean reward times 1,000,000.
    int64 reward;
    uint64 tokens;
}

/// @title Digests of records
library RoundRecords {
    /// @notice The record's digest, the leaf that an attestation's tree holds for its round.
    function digest(RoundRecord calldata record) internal pure returns (bytes32) {
        return sha256(abi.encode(record));
    }
}
