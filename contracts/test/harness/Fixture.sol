// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Crowdfunding} from "../../src/Crowdfunding.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {ReputationRegistry} from "../../src/ReputationRegistry.sol";
import {RecordBody, RoundRecord} from "../../src/RoundRecord.sol";
import {RoundResolver} from "../../src/RoundResolver.sol";
import {SwarmRegistry} from "../../src/SwarmRegistry.sol";
import {Treasury} from "../../src/Treasury.sol";
import {VM} from "./Vm.sol";
import {
    AttestationRequest,
    AttestationRequestData,
    IEAS
} from "@ethereum-attestation-service/eas-contracts/contracts/IEAS.sol";
import {ISchemaRegistry} from "@ethereum-attestation-service/eas-contracts/contracts/ISchemaRegistry.sol";

/// @notice Every contract deployed as in production, EAS from its published bytecode, and the steps that tests share.
abstract contract Fixture {
    string internal constant EAS_ARTIFACTS =
        "node_modules/@ethereum-attestation-service/eas-contracts/artifacts/contracts";
    uint256 internal constant KEY = 0xA11CE;
    uint256 internal constant OTHER_KEY = 0xB0B;
    bytes32 internal constant SALT = keccak256("salt");
    bytes32 internal constant CONFIG = keccak256("config");
    bytes32 internal constant HEAD = keccak256("head");

    IEAS internal eas;
    ISchemaRegistry internal schemas;
    NodeRegistry internal nodes;
    SwarmRegistry internal swarms;
    RoundResolver internal resolver;
    ReputationRegistry internal reputation;
    Treasury internal treasury;
    Crowdfunding internal crowdfunding;
    bytes32 internal schemaUid;
    address internal swarmOwner = address(0x5A4);

    function setUp() public virtual {
        schemas =
            ISchemaRegistry(VM.deployCode(string.concat(EAS_ARTIFACTS, "/SchemaRegistry.sol/SchemaRegistry.json")));
        eas = IEAS(VM.deployCode(string.concat(EAS_ARTIFACTS, "/EAS.sol/EAS.json"), abi.encode(schemas)));
        nodes = new NodeRegistry();
        swarms = new SwarmRegistry(nodes);
        resolver = new RoundResolver(eas, nodes, swarms);
        reputation = new ReputationRegistry(nodes);
        treasury = new Treasury(resolver);
        crowdfunding = new Crowdfunding(resolver);
        schemaUid = schemas.register(resolver.SCHEMA(), resolver, false);
        VM.warp(1_800_000_000);
    }

    /// @dev A registered Node of which key and owner are the account of `privateKey`.
    function _register(uint256 privateKey) internal returns (uint256 nodeId) {
        VM.prank(VM.addr(privateKey));
        return nodes.register();
    }

    function _createSwarm(SwarmRegistry.Policy policy) internal returns (bytes32 swarmId) {
        VM.prank(swarmOwner);
        return swarms.createSwarm(SALT, CONFIG, policy, "ipfs://swarm");
    }

    function _join(bytes32 swarmId, uint256 privateKey) internal {
        address key = VM.addr(privateKey);
        VM.prank(key);
        swarms.join(swarmId, uint160(key));
    }

    /// @dev A Node that is a member of an open swarm.
    function _member(uint256 privateKey) internal returns (bytes32 swarmId, uint256 nodeId) {
        nodeId = _register(privateKey);
        swarmId = swarms.swarmIdOf(swarmOwner, SALT);
        if (swarms.swarmOf(swarmId).owner == address(0)) {
            _createSwarm(SwarmRegistry.Policy.Open);
        }
        _join(swarmId, privateKey);
    }

    function _rounds(bytes32 swarmId, uint256 nodeId, uint64 first, uint64 last, bytes32 root)
        internal
        pure
        returns (RoundResolver.Rounds memory)
    {
        return RoundResolver.Rounds({
            swarmId: swarmId,
            nodeId: nodeId,
            firstRound: first,
            lastRound: last,
            recordsRoot: root,
            previous: first == 1 ? bytes32(0) : HEAD,
            head: HEAD,
            model: keccak256("model"),
            samples: 96,
            tokens: 2000,
            reward: 700_000
        });
    }

    function _request(bytes memory data) internal view returns (AttestationRequest memory) {
        return AttestationRequest({
            schema: schemaUid,
            data: AttestationRequestData({
                recipient: address(0), expirationTime: 0, revocable: false, refUID: 0, data: data, value: 0
            })
        });
    }

    function _attest(address attester, RoundResolver.Rounds memory rounds) internal returns (bytes32 uid) {
        AttestationRequest memory request = _request(abi.encode(rounds));
        VM.prank(attester);
        return eas.attest(request);
    }

    /// @dev What the resolver keeps of an attestation that was made just now.
    function _batchOf(RoundResolver.Rounds memory rounds) internal view returns (RoundResolver.Batch memory) {
        return RoundResolver.Batch({
            firstRound: rounds.firstRound,
            lastRound: rounds.lastRound,
            tokens: rounds.tokens,
            time: uint64(block.timestamp),
            previous: rounds.previous,
            head: rounds.head
        });
    }

    function _sign(uint256 privateKey, bytes32 structHash) internal view returns (bytes memory) {
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", nodes.DOMAIN_SEPARATOR(), structHash));
        (uint8 v, bytes32 r, bytes32 s) = VM.sign(privateKey, digest);
        return abi.encodePacked(r, s, v);
    }

    function _signRegistration(uint256 privateKey, address owner, uint256 nonce, uint256 deadline)
        internal
        view
        returns (bytes memory)
    {
        address key = VM.addr(privateKey);
        return _sign(privateKey, keccak256(abi.encode(nodes.REGISTRATION_TYPEHASH(), key, owner, nonce, deadline)));
    }

    function _signRotation(uint256 privateKey, uint256 nodeId, address owner, uint256 nonce, uint256 deadline)
        internal
        view
        returns (bytes memory)
    {
        address key = VM.addr(privateKey);
        return _sign(privateKey, keccak256(abi.encode(nodes.ROTATION_TYPEHASH(), nodeId, key, owner, nonce, deadline)));
    }

    function _record(bytes32 swarmId, uint256 nodeId, uint64 round) internal view returns (RoundRecord memory) {
        return RoundRecord({
            chainId: block.chainid,
            registry: address(nodes),
            swarmId: swarmId,
            nodeId: nodeId,
            round: round,
            previous: round == 1 ? bytes32(0) : sha256(abi.encode("previous", round)),
            config: CONFIG,
            modelBefore: sha256(abi.encode("model", round - 1)),
            modelAfter: sha256(abi.encode("model", round)),
            rolloutsRoot: bytes32(0),
            samples: 96,
            reward: -250_000,
            tokens: 1900
        });
    }

    /// @dev What of a record `proveRollout` is told.
    function _bodyOf(RoundRecord memory record) internal pure returns (RecordBody memory) {
        return RecordBody({
            swarmId: record.swarmId,
            nodeId: record.nodeId,
            previous: record.previous,
            config: record.config,
            modelBefore: record.modelBefore,
            modelAfter: record.modelAfter,
            numbers: uint256(
                bytes32(abi.encodePacked(record.round, record.samples, uint64(record.reward), record.tokens))
            )
        });
    }
}
