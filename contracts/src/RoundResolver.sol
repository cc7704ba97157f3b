// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {NodeRegistry} from "./NodeRegistry.sol";
import {RoundRecord, RoundRecords} from "./RoundRecord.sol";
import {SwarmRegistry} from "./SwarmRegistry.sol";
import {Attestation, IEAS} from "@ethereum-attestation-service/eas-contracts/contracts/IEAS.sol";
import {SchemaResolver} from "@ethereum-attestation-service/eas-contracts/contracts/resolver/SchemaResolver.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

/// @title The gate through which rounds are attested
/// @notice Takes an attestation of consecutive rounds only from the current key of a Node that is a member of the swarm, and
/// only if it begins with the round after the last one attested. So each round of a Node counts exactly once, whatever
/// is sent twice, late or out of order. Any single round, and any rollout of it, can be proven later.
contract RoundResolver is SchemaResolver {
    using RoundRecords for RoundRecord;

    /// @notice What an attestation says, in the order of `SCHEMA`.
    struct Rounds {
        bytes32 swarmId;
        uint256 nodeId;
        uint64 firstRound;
        uint64 lastRound;
        /// Merkle root of the digests of the records of these rounds, in order.
        bytes32 recordsRoot;
        /// Digest of the last round's record.
        bytes32 head;
        /// Digest of the model after the last round.
        bytes32 model;
        uint64 samples;
        uint64 tokens;
        /// Mean reward over these rounds, times 1,000,000.
        int64 reward;
    }

    /// @notice The EAS schema of such attestations. It is not revocable.
    string public constant SCHEMA = "bytes32 swarmId,uint256 nodeId,uint64 firstRound,uint64 lastRound,"
        "bytes32 recordsRoot,bytes32 head,bytes32 model,uint64 samples,uint64 tokens,int64 reward";
    /// @notice Most rounds in one attestation.
    uint256 public constant MAX_ROUNDS = 1024;
    /// @notice UID of the one schema whose attestations count.
    bytes32 public immutable SCHEMA_UID;
    /// @notice The identities of Nodes.
    NodeRegistry public immutable NODES;
    /// @notice The swarms and their members.
    SwarmRegistry public immutable SWARMS;

    uint256 private constant DATA_LENGTH = 10 * 32;

    mapping(bytes32 swarmId => mapping(uint256 nodeId => uint64 round)) private _lastRounds;

    /// @notice Rounds of a Node were attested.
    event RoundsAttested(
        bytes32 indexed swarmId,
        uint256 indexed nodeId,
        uint64 firstRound,
        uint64 lastRound,
        bytes32 recordsRoot,
        bytes32 uid
    );

    /// @notice Another schema names this resolver; its attestations are not taken.
    error WrongSchema(bytes32 schema);
    /// @notice The attestation's data is not that of `SCHEMA`.
    error InvalidDataLength(uint256 length, uint256 expected);
    /// @notice An attestation of rounds never expires.
    error ExpirationNotAllowed(uint64 expirationTime);
    /// @notice Only the Node's current key attests its rounds.
    error NotNodeKey(uint256 nodeId, address key, address attester);
    /// @notice The Node is not a member of the swarm.
    error NotMember(bytes32 swarmId, uint256 nodeId);
    /// @notice The attestation must begin with the round after the last one attested.
    error UnexpectedRound(uint64 expected, uint64 firstRound);
    /// @notice The attestation has no rounds, or more than `MAX_ROUNDS`.
    error InvalidRange(uint64 firstRound, uint64 lastRound);
    /// @notice The attestation binds no records.
    error EmptyRoot();

    /// @param eas The Ethereum Attestation Service of this chain.
    /// @param nodes The identities of Nodes.
    /// @param swarms The swarms and their members.
    constructor(IEAS eas, NodeRegistry nodes, SwarmRegistry swarms) SchemaResolver(eas) {
        NODES = nodes;
        SWARMS = swarms;
        SCHEMA_UID = keccak256(abi.encodePacked(SCHEMA, address(this), false));
    }

    /// @notice The round that the Node's next attestation in this swarm must begin with.
    function nextRound(bytes32 swarmId, uint256 nodeId) external view returns (uint64) {
        return _lastRounds[swarmId][nodeId] + 1;
    }

    /// @notice Whether the attestation `uid` holds this record of one of its rounds.
    /// @param uid UID of an attestation that this resolver took.
    /// @param record The record, in full.
    /// @param proof The siblings from the record's digest up to the attestation's `recordsRoot`.
    function proveRound(bytes32 uid, RoundRecord calldata record, bytes32[] calldata proof) public view returns (bool) {
        Attestation memory attestation = _eas.getAttestation(uid);
        if (attestation.schema != SCHEMA_UID) {
            return false;
        }
        Rounds memory rounds = abi.decode(attestation.data, (Rounds));
        return record.chainId == block.chainid && record.registry == address(NODES) && record.swarmId == rounds.swarmId
            && record.nodeId == rounds.nodeId && record.round >= rounds.firstRound && record.round <= rounds.lastRound
            && MerkleProof.verifyCalldata(proof, rounds.recordsRoot, record.digest(), RoundRecords.parent);
    }

    /// @notice Whether the attestation `uid` holds this record, and the record this rollout.
    /// @param uid UID of an attestation that this resolver took.
    /// @param record The record of the rollout's round, in full.
    /// @param recordProof As for `proveRound`.
    /// @param rollout SHA-256 digest of the rollout's encoding. It means something only to a caller who has that encoding:
    /// an inner node of the tree would pass as well.
    /// @param rolloutProof The siblings from `rollout` up to the record's `rolloutsRoot`.
    function proveRollout(
        bytes32 uid,
        RoundRecord calldata record,
        bytes32[] calldata recordProof,
        bytes32 rollout,
        bytes32[] calldata rolloutProof
    ) external view returns (bool) {
        return proveRound(uid, record, recordProof)
            && MerkleProof.verifyCalldata(rolloutProof, record.rolloutsRoot, rollout, RoundRecords.parent);
    }

    /// @dev The last round is the only state: it moves before anything else can be called.
    function onAttest(Attestation calldata attestation, uint256) internal override returns (bool) {
        if (attestation.schema != SCHEMA_UID) {
            revert WrongSchema(attestation.schema);
        }
        if (attestation.expirationTime != 0) {
            revert ExpirationNotAllowed(attestation.expirationTime);
        }
        if (attestation.data.length != DATA_LENGTH) {
            revert InvalidDataLength(attestation.data.length, DATA_LENGTH);
        }
        Rounds memory rounds = abi.decode(attestation.data, (Rounds));
        _checkAuthor(rounds, attestation.attester);
        _checkRange(rounds);
        _lastRounds[rounds.swarmId][rounds.nodeId] = rounds.lastRound;
        emit RoundsAttested(
            rounds.swarmId, rounds.nodeId, rounds.firstRound, rounds.lastRound, rounds.recordsRoot, attestation.uid
        );
        return true;
    }

    /// @dev Never reached, as the schema is not revocable.
    function onRevoke(Attestation calldata, uint256) internal pure override returns (bool) {
        return false;
    }

    function _checkAuthor(Rounds memory rounds, address attester) private view {
        address key = NODES.keyOf(rounds.nodeId);
        if (attester != key) {
            revert NotNodeKey(rounds.nodeId, key, attester);
        }
        if (!SWARMS.isMember(rounds.swarmId, rounds.nodeId)) {
            revert NotMember(rounds.swarmId, rounds.nodeId);
        }
    }

    function _checkRange(Rounds memory rounds) private view {
        uint64 expected = _lastRounds[rounds.swarmId][rounds.nodeId] + 1;
        if (rounds.firstRound != expected) {
            revert UnexpectedRound(expected, rounds.firstRound);
        }
        if (rounds.lastRound < rounds.firstRound || rounds.lastRound - rounds.firstRound >= MAX_ROUNDS) {
            revert InvalidRange(rounds.firstRound, rounds.lastRound);
        }
        if (rounds.recordsRoot == bytes32(0)) {
            revert EmptyRoot();
        }
    }
}
