// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {NodeRegistry} from "./NodeRegistry.sol";
import {RecordBody, RoundRecord, RoundRecords} from "./RoundRecord.sol";
import {SwarmRegistry} from "./SwarmRegistry.sol";
import {Trees} from "./Trees.sol";
import {Attestation, IEAS} from "@ethereum-attestation-service/eas-contracts/contracts/IEAS.sol";
import {SchemaResolver} from "@ethereum-attestation-service/eas-contracts/contracts/resolver/SchemaResolver.sol";

/// @title The gate through which rounds are attested
/// @notice Takes an attestation of consecutive rounds only from the current key of a Node that is a member of the swarm, and
/// only if it begins with the round after the last one attested and names the digest of that round's record. So each round of
/// a Node counts exactly once, whatever is sent twice, late or out of order, and its records are one chain across all
/// attestations. Any single round, and any rollout of it, can be proven later.
/// @dev Of an attestation the resolver keeps one slot, the digest of its `Batch`: to read EAS's copy back would cost a proof
/// or a payment 17 slots.
contract RoundResolver is SchemaResolver {
    using RoundRecords for RecordBody;
    using RoundRecords for RoundRecord;

    /// @notice What an attestation says, in the order of `SCHEMA`.
    struct Rounds {
        bytes32 swarmId;
        uint256 nodeId;
        uint64 firstRound;
        uint64 lastRound;
        /// Merkle root of the digests of the records of these rounds, in order.
        bytes32 recordsRoot;
        /// Digest of the record before the first of these; zero for round 1.
        bytes32 previous;
        /// Digest of the last round's record.
        bytes32 head;
        /// Digest of the model after the last round.
        bytes32 model;
        uint64 samples;
        uint64 tokens;
        /// Mean reward over these rounds, times 1,000,000.
        int64 reward;
    }

    /// @notice What proofs and payments need of an attestation, beside its swarm, Node and root.
    struct Batch {
        uint64 firstRound;
        uint64 lastRound;
        uint64 tokens;
        /// When it was attested, in Unix seconds.
        uint64 time;
        bytes32 previous;
        bytes32 head;
    }

    /// @notice That an attestation holds a record, and the record a rollout.
    struct RolloutClaim {
        /// UID of an attestation that this resolver took.
        bytes32 uid;
        Batch batch;
        /// The record of the rollout's round, but for what follows from the rest.
        RecordBody body;
        /// SHA-256 digest of the rollout's encoding.
        bytes32 rollout;
        /// Its position among those that the Node sampled in the round, from 0, in the upper 128 bits; how many these are in
        /// the lower.
        uint256 place;
    }

    /// @dev How far a Node is in a swarm.
    struct Progress {
        uint64 lastRound;
        bytes32 head;
    }

    /// @notice The EAS schema of such attestations. It is not revocable.
    string public constant SCHEMA = "bytes32 swarmId,uint256 nodeId,uint64 firstRound,uint64 lastRound,"
        "bytes32 recordsRoot,bytes32 previous,bytes32 head,bytes32 model,uint64 samples,uint64 tokens,int64 reward";
    /// @notice Most rounds in one attestation.
    uint256 public constant MAX_ROUNDS = 1024;
    /// @notice UID of the one schema whose attestations count.
    bytes32 public immutable SCHEMA_UID;
    /// @notice The identities of Nodes.
    NodeRegistry public immutable NODES;
    /// @notice The swarms and their members.
    SwarmRegistry public immutable SWARMS;

    uint256 private constant DATA_LENGTH = 11 * 32;

    /// @notice The digest of an attestation's swarm, Node, root and batch (`holds`); zero for what this resolver did not take.
    mapping(bytes32 uid => bytes32 digest) public batches;

    mapping(bytes32 swarmId => mapping(uint256 nodeId => Progress progress)) private _progress;

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
    /// @notice The attestation must name the digest of the last record attested as the one before its first.
    error UnexpectedPrevious(bytes32 expected, bytes32 previous);
    /// @notice The attestation has no rounds, or more than `MAX_ROUNDS`.
    error InvalidRange(uint64 firstRound, uint64 lastRound);
    /// @notice The attestation names no root of records, or no last record.
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
        return _progress[swarmId][nodeId].lastRound + 1;
    }

    /// @notice The digest of the record that the Node's next round in this swarm must name as the one before.
    function headOf(bytes32 swarmId, uint256 nodeId) external view returns (bytes32) {
        return _progress[swarmId][nodeId].head;
    }

    /// @notice Whether the attestation `uid` holds this record as that of its round.
    /// @param uid UID of an attestation that this resolver took.
    /// @param batch The attestation's batch.
    /// @param record The record, in full.
    /// @param proof The siblings from the record's digest up to the attestation's `recordsRoot`.
    function proveRound(bytes32 uid, Batch calldata batch, RoundRecord calldata record, bytes32[] calldata proof)
        external
        view
        returns (bool)
    {
        if (record.chainId != block.chainid || record.registry != address(NODES)) {
            return false;
        }
        bytes32 root = _root(batch, record.round, record.previous, record.digest(), proof);
        return holds(uid, record.swarmId, record.nodeId, root, batch);
    }

    /// @notice Whether an attestation holds a record, and the record a rollout at this position.
    /// @dev A record of another chain or registry, or with other rollouts, has another digest than the one made here.
    /// @param path The siblings from the rollout's digest up to the record's `rolloutsRoot`, and on from the record's digest
    /// up to the attestation's `recordsRoot`.
    function proveRollout(RolloutClaim calldata claim, bytes32[] calldata path) external view returns (bool) {
        (bytes32 rolloutsRoot, bytes32[] calldata proof) =
            Trees.root(claim.rollout, claim.place >> 128, claim.place & type(uint128).max, path);
        if (rolloutsRoot == 0) {
            return false;
        }
        RecordBody calldata body = claim.body;
        bytes32 digest = body.digest(address(NODES), rolloutsRoot);
        bytes32 root = _root(claim.batch, body.round(), body.previous, digest, proof);
        return holds(claim.uid, body.swarmId, body.nodeId, root, claim.batch);
    }

    /// @notice Whether the attestation `uid` is of this swarm and Node and has this root and batch.
    function holds(bytes32 uid, bytes32 swarmId, uint256 nodeId, bytes32 recordsRoot, Batch calldata batch)
        public
        view
        returns (bool)
    {
        bytes32 digest;
        // keccak256(abi.encode(swarmId, nodeId, recordsRoot, batch))
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, swarmId)
            mstore(add(free, 32), nodeId)
            mstore(add(free, 64), recordsRoot)
            calldatacopy(add(free, 96), batch, 192)
            digest := keccak256(free, 288)
        }
        return batches[uid] == digest;
    }

    /// @dev Nothing but EAS is called after the state has moved.
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
        _progress[rounds.swarmId][rounds.nodeId] = Progress({lastRound: rounds.lastRound, head: rounds.head});
        batches[attestation.uid] = _batchDigest(rounds, attestation.time);
        emit RoundsAttested(
            rounds.swarmId, rounds.nodeId, rounds.firstRound, rounds.lastRound, rounds.recordsRoot, attestation.uid
        );
        return true;
    }

    /// @dev The root of the records of which this one, with this digest, is that of `round`; zero, which no attestation
    /// names, where it can't be in the batch.
    function _root(Batch calldata batch, uint256 round, bytes32 previous, bytes32 digest, bytes32[] calldata proof)
        private
        view
        returns (bytes32)
    {
        uint256 first;
        uint256 last;
        // Read as words: the attestation's digest has them as they are.
        assembly ("memory-safe") {
            first := calldataload(batch)
            last := calldataload(add(batch, 32))
        }
        if ((round == first && previous != batch.previous) || (round == last && digest != batch.head)) {
            return 0;
        }
        // A round before the first or after the last has no position among them.
        unchecked {
            (bytes32 root, bytes32[] calldata rest) = Trees.root(digest, round - first, last - first + 1, proof);
            return rest.length == 0 ? root : bytes32(0);
        }
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
        Progress storage progress = _progress[rounds.swarmId][rounds.nodeId];
        uint64 expected = progress.lastRound + 1;
        if (rounds.firstRound != expected) {
            revert UnexpectedRound(expected, rounds.firstRound);
        }
        if (rounds.lastRound < rounds.firstRound || rounds.lastRound - rounds.firstRound >= MAX_ROUNDS) {
            revert InvalidRange(rounds.firstRound, rounds.lastRound);
        }
        if (rounds.previous != progress.head) {
            revert UnexpectedPrevious(progress.head, rounds.previous);
        }
        if (rounds.recordsRoot == bytes32(0) || rounds.head == bytes32(0)) {
            revert EmptyRoot();
        }
    }

    function _batchDigest(Rounds memory rounds, uint64 time) private pure returns (bytes32) {
        Batch memory batch = Batch({
            firstRound: rounds.firstRound,
            lastRound: rounds.lastRound,
            tokens: rounds.tokens,
            time: time,
            previous: rounds.previous,
            head: rounds.head
        });
        return keccak256(abi.encode(rounds.swarmId, rounds.nodeId, rounds.recordsRoot, batch));
    }
}
