// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RoundRecord} from "../src/RoundRecord.sol";
import {Fixture} from "./harness/Fixture.sol";
import {Tree} from "./harness/Tree.sol";
import {VM} from "./harness/Vm.sol";
import {AttestationRequest} from "@ethereum-attestation-service/eas-contracts/contracts/IEAS.sol";
import {ISchemaResolver} from "@ethereum-attestation-service/eas-contracts/contracts/resolver/ISchemaResolver.sol";

contract ProofsTest is Fixture {
    bytes32 private swarmId;
    uint256 private nodeId;
    address private key;

    function setUp() public override {
        super.setUp();
        (swarmId, nodeId) = _member(KEY);
        key = VM.addr(KEY);
    }

    function testFuzz_proveRound_everyRoundOfABatch(uint8 size, uint8 position) public {
        uint64 rounds = uint64(size) % 40 + 1;
        uint64 round = uint64(position) % rounds;
        (bytes32 uid, RoundRecord[] memory records, bytes32[] memory digests) = _batch(1, rounds);
        VM.assertTrue(resolver.proveRound(uid, records[round], Tree.proof(digests, round)));
        records[round].reward += 1;
        VM.assertFalse(resolver.proveRound(uid, records[round], Tree.proof(digests, round)));
    }

    function testFuzz_proveRound_aWrongSiblingFails(uint8 position, bytes32 sibling) public {
        (bytes32 uid, RoundRecord[] memory records, bytes32[] memory digests) = _batch(1, 8);
        bytes32[] memory proof = Tree.proof(digests, 3);
        VM.assume(sibling != proof[position % 3]);
        proof[position % 3] = sibling;
        VM.assertFalse(resolver.proveRound(uid, records[3], proof));
    }

    function test_proveRound_digestIsSha256OfThirteenWords() public {
        (bytes32 uid, RoundRecord[] memory records, bytes32[] memory digests) = _batch(1, 1);
        VM.assertEq(abi.encode(records[0]).length, 416);
        VM.assertEq(digests[0], sha256(abi.encode(records[0])));
        VM.assertTrue(resolver.proveRound(uid, records[0], new bytes32[](0)));
    }

    function test_proveRound_ofAnUnknownAttestationFails() public {
        (, RoundRecord[] memory records, bytes32[] memory digests) = _batch(1, 2);
        VM.assertFalse(resolver.proveRound("unknown", records[0], Tree.proof(digests, 0)));
        VM.assertFalse(resolver.proveRound(0, records[0], Tree.proof(digests, 0)));
    }

    function test_proveRound_ofAnotherSchemaFails() public {
        RoundRecord memory record = _record(swarmId, nodeId, 1);
        bytes32 root = sha256(abi.encode(record));
        AttestationRequest memory request = _request(abi.encode(_rounds(swarmId, nodeId, 1, 1, root)));
        request.schema = schemas.register(resolver.SCHEMA(), ISchemaResolver(address(0)), false);
        VM.prank(key);
        bytes32 uid = eas.attest(request);
        VM.assertFalse(resolver.proveRound(uid, record, new bytes32[](0)));
    }

    /// @dev A Node fills its own tree, so a record in it must still be one of this chain, registry, swarm, Node and range.
    function test_proveRound_ofARecordThatIsNotTheAttestersFails() public {
        RoundRecord[] memory strays = new RoundRecord[](6);
        for (uint256 i = 0; i < strays.length; ++i) {
            strays[i] = _record(swarmId, nodeId, 1);
        }
        strays[0].chainId += 1;
        strays[1].registry = address(swarms);
        strays[2].swarmId = "other";
        strays[3].nodeId += 1;
        strays[4].round = 0;
        strays[5].round = 7;
        bytes32[] memory digests = _digests(strays);
        bytes32 uid = _attest(key, _rounds(swarmId, nodeId, 1, 6, Tree.root(digests)));
        for (uint256 i = 0; i < strays.length; ++i) {
            VM.assertFalse(resolver.proveRound(uid, strays[i], Tree.proof(digests, i)));
        }
    }

    function testFuzz_proveRollout(uint8 count, uint8 position) public {
        bytes32[] memory rollouts = new bytes32[](uint256(count) % 96 + 1);
        for (uint256 i = 0; i < rollouts.length; ++i) {
            rollouts[i] = sha256(abi.encode("rollout", i));
        }
        RoundRecord[] memory records = new RoundRecord[](3);
        for (uint64 i = 0; i < 3; ++i) {
            records[i] = _record(swarmId, nodeId, i + 1);
            records[i].rolloutsRoot = i == 1 ? Tree.root(rollouts) : sha256("other rollouts");
        }
        bytes32[] memory digests = _digests(records);
        bytes32 uid = _attest(key, _rounds(swarmId, nodeId, 1, 3, Tree.root(digests)));
        uint256 chosen = position % rollouts.length;
        bytes32[] memory proof = Tree.proof(rollouts, chosen);
        VM.assertTrue(resolver.proveRollout(uid, records[1], Tree.proof(digests, 1), rollouts[chosen], proof));
        VM.assertFalse(resolver.proveRollout(uid, records[0], Tree.proof(digests, 0), rollouts[chosen], proof));
        VM.assertFalse(resolver.proveRollout(uid, records[1], Tree.proof(digests, 0), rollouts[chosen], proof));
        VM.assertFalse(resolver.proveRollout(uid, records[1], Tree.proof(digests, 1), sha256("no rollout"), proof));
    }

    function _batch(uint64 first, uint64 last)
        private
        returns (bytes32 uid, RoundRecord[] memory records, bytes32[] memory digests)
    {
        records = new RoundRecord[](last - first + 1);
        for (uint64 i = 0; i < records.length; ++i) {
            records[i] = _record(swarmId, nodeId, first + i);
        }
        digests = _digests(records);
        uid = _attest(key, _rounds(swarmId, nodeId, first, last, Tree.root(digests)));
    }

    function _digests(RoundRecord[] memory records) private pure returns (bytes32[] memory digests) {
        digests = new bytes32[](records.length);
        for (uint256 i = 0; i < records.length; ++i) {
            digests[i] = sha256(abi.encode(records[i]));
        }
    }
}
