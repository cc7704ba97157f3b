// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RoundResolver} from "../src/RoundResolver.sol";
import {Fixture} from "./harness/Fixture.sol";
import {VM} from "./harness/Vm.sol";
import {AccessDenied, Attestation} from "@ethereum-attestation-service/eas-contracts/contracts/Common.sol";
import {
    AttestationRequest,
    AttestationRequestData,
    MultiAttestationRequest,
    RevocationRequest,
    RevocationRequestData
} from "@ethereum-attestation-service/eas-contracts/contracts/IEAS.sol";

contract RoundResolverTest is Fixture {
    bytes32 private constant ROOT = keccak256("root");

    bytes32 private swarmId;
    uint256 private nodeId;
    address private key;

    function setUp() public override {
        super.setUp();
        (swarmId, nodeId) = _member(KEY);
        key = VM.addr(KEY);
    }

    function test_schemaUid_isWhatEasRegistered() public view {
        VM.assertEq(resolver.SCHEMA_UID(), schemaUid);
        VM.assertEq(schemas.getSchema(schemaUid).schema, resolver.SCHEMA());
        VM.assertFalse(resolver.isPayable());
    }

    function test_attest_consecutiveRounds() public {
        VM.assertEq(resolver.nextRound(swarmId, nodeId), 1);
        bytes32 uid = _attest(key, _rounds(swarmId, nodeId, 1, 4, ROOT));
        VM.assertEq(resolver.nextRound(swarmId, nodeId), 5);
        _attest(key, _rounds(swarmId, nodeId, 5, 5, ROOT));
        VM.assertEq(resolver.nextRound(swarmId, nodeId), 6);
        Attestation memory attestation = eas.getAttestation(uid);
        VM.assertEq(attestation.attester, key);
        VM.assertEq(attestation.data, abi.encode(_rounds(swarmId, nodeId, 1, 4, ROOT)));
    }

    function test_attest_emits() public {
        AttestationRequest memory request = _request(abi.encode(_rounds(swarmId, nodeId, 1, 4, ROOT)));
        bytes32 uid = keccak256(
            abi.encodePacked(
                schemaUid,
                address(0),
                key,
                uint64(block.timestamp),
                uint64(0),
                false,
                bytes32(0),
                request.data.data,
                uint32(0)
            )
        );
        VM.expectEmit(address(resolver));
        emit RoundResolver.RoundsAttested(swarmId, nodeId, 1, 4, ROOT, uid);
        VM.prank(key);
        VM.assertEq(eas.attest(request), uid);
    }

    function testFuzz_attest_onlyTheNextRound(uint64 first, uint64 length) public {
        _attest(key, _rounds(swarmId, nodeId, 1, 8, ROOT));
        length = length % 1024;
        VM.assume(first != 9 && first <= type(uint64).max - length);
        _expectRevert(
            _rounds(swarmId, nodeId, first, first + length, ROOT),
            abi.encodeWithSelector(RoundResolver.UnexpectedRound.selector, 9, first)
        );
    }

    function test_attest_repeatedReverts() public {
        _attest(key, _rounds(swarmId, nodeId, 1, 4, ROOT));
        _expectRevert(
            _rounds(swarmId, nodeId, 1, 4, ROOT), abi.encodeWithSelector(RoundResolver.UnexpectedRound.selector, 5, 1)
        );
    }

    function test_attest_twiceInOneTransactionReverts() public {
        MultiAttestationRequest[] memory requests = new MultiAttestationRequest[](2);
        for (uint256 i = 0; i < 2; ++i) {
            AttestationRequest memory request = _request(abi.encode(_rounds(swarmId, nodeId, 1, 4, ROOT)));
            requests[i].schema = schemaUid;
            requests[i].data = new AttestationRequestData[](1);
            requests[i].data[0] = request.data;
        }
        VM.prank(key);
        VM.expectRevert(abi.encodeWithSelector(RoundResolver.UnexpectedRound.selector, 5, 1));
        eas.multiAttest(requests);
    }

    function test_attest_skippedReverts() public {
        _expectRevert(
            _rounds(swarmId, nodeId, 2, 4, ROOT), abi.encodeWithSelector(RoundResolver.UnexpectedRound.selector, 1, 2)
        );
    }

    function test_attest_anotherHistoryReverts() public {
        RoundResolver.Rounds memory rounds = _rounds(swarmId, nodeId, 1, 4, ROOT);
        rounds.previous = HEAD;
        _expectRevert(rounds, abi.encodeWithSelector(RoundResolver.UnexpectedPrevious.selector, 0, HEAD));
        _attest(key, _rounds(swarmId, nodeId, 1, 4, ROOT));
        VM.assertEq(resolver.headOf(swarmId, nodeId), HEAD);
        rounds = _rounds(swarmId, nodeId, 5, 5, ROOT);
        rounds.previous = keccak256("another history");
        _expectRevert(rounds, abi.encodeWithSelector(RoundResolver.UnexpectedPrevious.selector, HEAD, rounds.previous));
    }

    function test_attest_keepsTheBatch() public {
        RoundResolver.Rounds memory rounds = _rounds(swarmId, nodeId, 1, 4, ROOT);
        bytes32 uid = _attest(key, rounds);
        bytes32 digest = keccak256(
            abi.encode(
                swarmId,
                nodeId,
                ROOT,
                rounds.firstRound,
                rounds.lastRound,
                rounds.tokens,
                uint64(block.timestamp),
                rounds.previous,
                rounds.head
            )
        );
        VM.assertEq(resolver.batches(uid), digest);
        VM.assertTrue(resolver.holds(uid, swarmId, nodeId, ROOT, _batchOf(rounds)));
        VM.assertFalse(resolver.holds(uid, swarmId, nodeId, HEAD, _batchOf(rounds)));
        VM.assertFalse(resolver.holds("unknown", swarmId, nodeId, ROOT, _batchOf(rounds)));
    }

    function test_attest_emptyRangeReverts() public {
        _attest(key, _rounds(swarmId, nodeId, 1, 4, ROOT));
        _expectRevert(
            _rounds(swarmId, nodeId, 5, 4, ROOT), abi.encodeWithSelector(RoundResolver.InvalidRange.selector, 5, 4)
        );
    }

    function test_attest_rangeIsBounded() public {
        _expectRevert(
            _rounds(swarmId, nodeId, 1, 1025, ROOT),
            abi.encodeWithSelector(RoundResolver.InvalidRange.selector, 1, 1025)
        );
        _attest(key, _rounds(swarmId, nodeId, 1, 1024, ROOT));
    }

    function test_attest_emptyRootReverts() public {
        _expectRevert(_rounds(swarmId, nodeId, 1, 1, 0), abi.encodeWithSelector(RoundResolver.EmptyRoot.selector));
        RoundResolver.Rounds memory rounds = _rounds(swarmId, nodeId, 1, 1, ROOT);
        rounds.head = 0;
        _expectRevert(rounds, abi.encodeWithSelector(RoundResolver.EmptyRoot.selector));
    }

    function test_attest_foreignKeyReverts() public {
        _member(OTHER_KEY);
        address other = VM.addr(OTHER_KEY);
        AttestationRequest memory request = _request(abi.encode(_rounds(swarmId, nodeId, 1, 4, ROOT)));
        VM.prank(other);
        VM.expectRevert(abi.encodeWithSelector(RoundResolver.NotNodeKey.selector, nodeId, key, other));
        eas.attest(request);
    }

    function test_attest_retiredKeyReverts() public {
        address successor = VM.addr(OTHER_KEY);
        bytes memory signature = _signRotation(OTHER_KEY, nodeId, key, 0, block.timestamp);
        VM.prank(key);
        nodes.setAgentWallet(nodeId, successor, block.timestamp, signature);
        _expectRevert(
            _rounds(swarmId, nodeId, 1, 1, ROOT),
            abi.encodeWithSelector(RoundResolver.NotNodeKey.selector, nodeId, successor, key)
        );
        _attest(successor, _rounds(swarmId, nodeId, 1, 1, ROOT));
    }

    function test_attest_byNobodyForANodeWithoutKeyReverts() public {
        AttestationRequest memory request = _request(abi.encode(_rounds(swarmId, 7, 1, 1, ROOT)));
        VM.prank(key);
        VM.expectRevert(abi.encodeWithSelector(RoundResolver.NotNodeKey.selector, 7, address(0), key));
        eas.attest(request);
    }

    function test_attest_afterLeavingOrEjectionReverts() public {
        VM.prank(key);
        swarms.quit(swarmId, nodeId);
        bytes memory notMember = abi.encodeWithSelector(RoundResolver.NotMember.selector, swarmId, nodeId);
        _expectRevert(_rounds(swarmId, nodeId, 1, 1, ROOT), notMember);
        _join(swarmId, KEY);
        _attest(key, _rounds(swarmId, nodeId, 1, 1, ROOT));
        VM.prank(swarmOwner);
        swarms.eject(swarmId, nodeId, "");
        _expectRevert(_rounds(swarmId, nodeId, 2, 2, ROOT), notMember);
        VM.assertEq(resolver.nextRound(swarmId, nodeId), 2);
    }

    function testFuzz_attest_otherLengthReverts(bytes memory data) public {
        VM.assume(data.length != 352);
        AttestationRequest memory request = _request(data);
        VM.prank(key);
        VM.expectRevert(abi.encodeWithSelector(RoundResolver.InvalidDataLength.selector, data.length, 352));
        eas.attest(request);
    }

    function test_attest_dirtyWordReverts() public {
        bytes memory data = abi.encode(_rounds(swarmId, nodeId, 1, 4, ROOT));
        data[64] = 0x01;
        AttestationRequest memory request = _request(data);
        VM.prank(key);
        VM.expectRevert();
        eas.attest(request);
    }

    function test_attest_expiringReverts() public {
        AttestationRequest memory request = _request(abi.encode(_rounds(swarmId, nodeId, 1, 4, ROOT)));
        request.data.expirationTime = uint64(block.timestamp + 1);
        VM.prank(key);
        VM.expectRevert(
            abi.encodeWithSelector(RoundResolver.ExpirationNotAllowed.selector, request.data.expirationTime)
        );
        eas.attest(request);
    }

    function test_attest_ofAnotherSchemaReverts() public {
        bytes32 revocable = schemas.register(resolver.SCHEMA(), resolver, true);
        AttestationRequest memory request = _request(abi.encode(_rounds(swarmId, nodeId, 1, 4, ROOT)));
        request.schema = revocable;
        VM.prank(key);
        VM.expectRevert(abi.encodeWithSelector(RoundResolver.WrongSchema.selector, revocable));
        eas.attest(request);
    }

    function test_attest_aroundEasReverts() public {
        Attestation memory attestation;
        attestation.schema = schemaUid;
        attestation.attester = key;
        attestation.data = abi.encode(_rounds(swarmId, nodeId, 1, 4, ROOT));
        VM.expectRevert(abi.encodeWithSelector(AccessDenied.selector));
        resolver.attest(attestation);
    }

    function test_revoke_reverts() public {
        bytes32 uid = _attest(key, _rounds(swarmId, nodeId, 1, 4, ROOT));
        VM.prank(key);
        VM.expectRevert(abi.encodeWithSignature("Irrevocable()"));
        eas.revoke(RevocationRequest({schema: schemaUid, data: RevocationRequestData({uid: uid, value: 0})}));
        Attestation memory attestation = eas.getAttestation(uid);
        VM.prank(address(eas));
        VM.assertFalse(resolver.revoke(attestation));
    }

    function _expectRevert(RoundResolver.Rounds memory rounds, bytes memory reason) private {
        AttestationRequest memory request = _request(abi.encode(rounds));
        VM.prank(key);
        VM.expectRevert(reason);
        eas.attest(request);
    }
}
