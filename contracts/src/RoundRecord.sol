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

/// @notice What a record says that neither the contract which is asked knows nor a path of one of its rollouts gives.
struct RecordBody {
    bytes32 swarmId;
    uint256 nodeId;
    bytes32 previous;
    bytes32 config;
    bytes32 modelBefore;
    bytes32 modelAfter;
    /// Round, samples, reward in two's complement, tokens: 64 bits each, the round in the highest.
    uint256 numbers;
}

/// @title Digests of records
library RoundRecords {
    /// @notice The record's digest, the leaf that an attestation's tree holds for its round.
    function digest(RoundRecord calldata record) internal pure returns (bytes32) {
        return sha256(abi.encode(record));
    }

    /// @notice The round that the record is of.
    function round(RecordBody calldata body) internal pure returns (uint256) {
        return body.numbers >> 192;
    }

    /// @notice The digest of the record of this chain, and this registry and root, with this body.
    /// @dev As a struct in memory it would take 2,000 gas more.
    function digest(RecordBody calldata body, address registry, bytes32 rolloutsRoot)
        internal
        view
        returns (bytes32 result)
    {
        uint256 numbers = body.numbers;
        assembly ("memory-safe") {
            let record := mload(0x40)
            mstore(record, chainid())
            mstore(add(record, 32), registry)
            calldatacopy(add(record, 64), body, 64)
            mstore(add(record, 128), shr(192, numbers))
            calldatacopy(add(record, 160), add(body, 64), 128)
            mstore(add(record, 288), rolloutsRoot)
            mstore(add(record, 320), shr(192, shl(64, numbers)))
            mstore(add(record, 352), signextend(7, shr(64, numbers)))
            mstore(add(record, 384), shr(192, shl(192, numbers)))
            if iszero(staticcall(gas(), 2, record, 416, 0, 32)) { revert(0, 0) }
            result := mload(0)
        }
    }
}
