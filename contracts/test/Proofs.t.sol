// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RoundRecord} from "../src/RoundRecord.sol";
import {RoundResolver} from "../src/RoundResolver.sol";
import {Fixture} from "./harness/Fixture.sol";
import {Tree} from "./harness/Tree.sol";
import {VM} from "./harness/Vm.sol";

contract ProofsTest is Fixture {
    struct Sample {
        bytes32 uid;
        RoundResolver.Batch batch;
        RoundRecord[] records;
        bytes32[] digests;
    }

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
        Sample memory sample = _batch(rounds);
        VM.assertTrue(_proves(sample, round, round));
        for (uint64 other = 0; other < rounds; ++other) {
            VM.assertTrue(other == round || !_proves(sample, round, other), "a path of another position");
        }
        sample.records[round].reward += 1;
        VM.assertFalse(_proves(sample, round, round));
    }

    function testFuzz_proveRound_aWrongSiblingFails(uint8 position, bytes32 sibling) public {
        Sample memory sample = _batch(8);
        bytes32[] memory proof = Tree.proof(sample.digests, 3);
        VM.assume(sibling != proof[position % 3]);
        proof[position % 3] = sibling;
        VM.assertFalse(resolver.proveRound(sample.uid, sample.batch, sample.records[3], proof));
    }

    function test_proveRound_aPathOfAnotherLengthFails() public {
        Sample memory sample = _batch(8);
        bytes32[] memory proof = Tree.proof(sample.digests, 3);
        bytes32[] memory other = new bytes32[](4);
        for (uint256 i = 0; i < 3; ++i) {
            other[i] = proof[i];
        }
        VM.assertFalse(resolver.proveRound(sample.uid, sample.batch, sample.records[3], other));
        other = new bytes32[](2);
        (other[0], other[1]) = (proof[0], proof[1]);
        VM.assertFalse(resolver.proveRound(sample.uid, sample.batch, sample.records[3], other));
    }

    function test_proveRound_digestIsSha256OfThirteenWords() public {
        Sample memory sample = _batch(1);
        VM.assertEq(abi.encode(sample.records[0]).length, 416);
        VM.assertEq(sample.digests[0], sha256(abi.encode(sample.records[0])));
        VM.assertTrue(resolver.proveRound(sample.uid, sample.batch, sample.records[0], new bytes32[](0)));
    }

    function test_proveRound_ofAnUnknownAttestationFails() public {
        Sample memory sample = _batch(2);
        sample.uid = "unknown";
        VM.assertFalse(_proves(sample, 0, 0));
        sample.uid = 0;
        VM.assertFalse(_proves(sample, 0, 0));
    }

    function test_proveRound_byAnotherBatchFails() public {
        Sample memory sample = _batch(3);
        sample.batch.time += 1;
        VM.assertFalse(_proves(sample, 1, 1));
        sample.batch.time -= 1;
        sample.batch.tokens += 1;
        VM.assertFalse(_proves(sample, 1, 1));
        sample.batch.tokens -= 1;
        VM.assertTrue(_proves(sample, 1, 1));
    }

    /// @dev A Node makes its own tree and names its own head, so a record in it must still be one of this chain, registry,
    /// swarm, Node and place, the first must follow the round before, and the last must be the head.
    function test_proveRound_ofARecordThatIsNotTheAttestersFails() public {
        bytes32[] memory rollouts = new bytes32[](1);
        rollouts[0] = sha256("rollout");
        RoundRecord[] memory strays = new RoundRecord[](8);
        for (uint64 i = 0; i < strays.length; ++i) {
            strays[i] = _record(swarmId, nodeId, i + 1);
            strays[i].rolloutsRoot = Tree.root(rollouts);
        }
        strays[0].previous = "another history";
        strays[1].chainId += 1;
        strays[2].registry = address(swarms);
        strays[3].swarmId = "other";
        strays[4].nodeId += 1;
        strays[5].round = 0;
        strays[6].round = 9;
        Sample memory sample = _attested(strays);
        for (uint64 i = 0; i < 7; ++i) {
            VM.assertFalse(_proves(sample, i, i));
            VM.assertFalse(_provesRollout(sample, i, rollouts, 0, 0, 1));
        }
        VM.assertTrue(_proves(sample, 7, 7), "nothing is wrong with the last one");
        VM.assertTrue(_provesRollout(sample, 7, rollouts, 0, 0, 1));
    }

    function test_proveRound_ofALastRecordThatIsNotTheHeadFails() public {
        RoundRecord[] memory records = new RoundRecord[](2);
        records[0] = _record(swarmId, nodeId, 1);
        records[1] = _record(swarmId, nodeId, 2);
        bytes32[] memory digests = _digests(records);
        RoundResolver.Rounds memory rounds = _rounds(swarmId, nodeId, 1, 2, Tree.root(digests));
        Sample memory sample = Sample(_attest(key, rounds), _batchOf(rounds), records, digests);
        VM.assertTrue(_proves(sample, 0, 0));
        VM.assertFalse(_proves(sample, 1, 1));
    }

    function testFuzz_proveRollout(uint8 count, uint8 chosen) public {
        bytes32[] memory rollouts = new bytes32[](uint256(count) % 96 + 1);
        for (uint256 i = 0; i < rollouts.length; ++i) {
            rollouts[i] = sha256(abi.encode("rollout", i));
        }
        uint256 position = chosen % rollouts.length;
        RoundRecord[] memory records = new RoundRecord[](3);
        for (uint64 i = 0; i < 3; ++i) {
            records[i] = _record(swarmId, nodeId, i + 1);
            records[i].rolloutsRoot = i == 1 ? Tree.root(rollouts) : i == 2 ? sha256("other rollouts") : bytes32(0);
        }
        Sample memory sample = _attested(records);
        VM.assertTrue(_provesRollout(sample, 1, rollouts, position, position, rollouts.length));
        VM.assertFalse(_provesRollout(sample, 0, rollouts, position, position, rollouts.length));
        VM.assertFalse(_provesRollout(sample, 0, rollouts, position, position, position));
        VM.assertFalse(_provesRollout(sample, 2, rollouts, position, position, rollouts.length));
        VM.assertFalse(_provesRollout(sample, 1, rollouts, position, position + 1, rollouts.length));
        VM.assertFalse(_provesRollout(sample, 1, rollouts, position, position, rollouts.length + 1));
        VM.assertFalse(_provesRollout(sample, 1, rollouts, position, position, uint256(type(uint64).max) + 1));
        sample.uid = "unknown";
        VM.assertFalse(_provesRollout(sample, 1, rollouts, position, position, rollouts.length));
    }

    /// @dev The only rollout of a round is at position 0, and at no other.
    function test_proveRollout_behindTheLastPositionFails() public {
        bytes32[] memory rollouts = new bytes32[](1);
        rollouts[0] = sha256("rollout");
        RoundRecord[] memory records = new RoundRecord[](2);
        for (uint64 i = 0; i < 2; ++i) {
            records[i] = _record(swarmId, nodeId, i + 1);
            records[i].rolloutsRoot = Tree.root(rollouts);
        }
        Sample memory sample = _attested(records);
        VM.assertTrue(_provesRollout(sample, 1, rollouts, 0, 0, 1));
        VM.assertFalse(_provesRollout(sample, 1, rollouts, 0, 1, 1));
        VM.assertFalse(_provesRollout(sample, 1, rollouts, 0, 0, 0));
    }

    function test_proveRollout_ofAnInnerNodeFails() public {
        bytes32[] memory rollouts = new bytes32[](4);
        for (uint256 i = 0; i < rollouts.length; ++i) {
            rollouts[i] = sha256(abi.encode("rollout", i));
        }
        RoundRecord[] memory records = new RoundRecord[](1);
        records[0] = _record(swarmId, nodeId, 1);
        records[0].rolloutsRoot = Tree.root(rollouts);
        Sample memory sample = _attested(records);
        bytes32 inner = Tree.parent(Tree.leaf(rollouts[0]), Tree.leaf(rollouts[1]));
        bytes32[] memory path = new bytes32[](1);
        path[0] = Tree.parent(Tree.leaf(rollouts[2]), Tree.leaf(rollouts[3]));
        for (uint256 size = 1; size <= 4; ++size) {
            RoundResolver.RolloutClaim memory claim =
                RoundResolver.RolloutClaim(sample.uid, sample.batch, _bodyOf(records[0]), inner, size);
            VM.assertFalse(resolver.proveRollout(claim, path));
        }
    }

    function testFuzz_proofs_ofAnyNumbers(uint64 samples, int64 reward, uint64 tokens) public {
        RoundRecord[] memory records = new RoundRecord[](1);
        records[0] = _record(swarmId, nodeId, 1);
        (records[0].samples, records[0].reward, records[0].tokens) = (samples, reward, tokens);
        bytes32[] memory rollouts = new bytes32[](1);
        rollouts[0] = sha256("rollout");
        records[0].rolloutsRoot = Tree.root(rollouts);
        Sample memory sample = _attested(records);
        VM.assertTrue(_proves(sample, 0, 0));
        VM.assertTrue(_provesRollout(sample, 0, rollouts, 0, 0, 1));
        records[0].tokens ^= 1;
        VM.assertFalse(_provesRollout(sample, 0, rollouts, 0, 0, 1));
    }

    /// @dev The siblings are all there, behind the end of a path that is given as shorter, or before that of a longer one.
    function test_proveRollout_byAPathOfAnotherLengthFails() public {
        (Sample memory sample, bytes32[] memory rollouts) = _withRollouts();
        bytes memory data = _call(sample, 1, rollouts, 2);
        for (uint256 length = 0; length < 8; ++length) {
            // 32 of its own length, 4 of the selector, 16 words of the claim, the path's offset
            assembly ("memory-safe") {
                mstore(add(data, 580), length)
            }
            (bool done, bytes memory answer) = address(resolver).staticcall(bytes.concat(data, new bytes(96)));
            VM.assertTrue(done);
            VM.assertTrue(
                abi.decode(answer, (bool)) == (length == 5), "two siblings in the record, three in the attestation"
            );
        }
    }

    function test_proofs_revertWhereThePrecompileFails() public {
        (Sample memory sample, bytes32[] memory rollouts) = _withRollouts();
        bytes memory rollout = _call(sample, 1, rollouts, 2);
        bytes memory round = abi.encodeCall(
            resolver.proveRound, (sample.uid, sample.batch, sample.records[1], Tree.proof(sample.digests, 1))
        );
        bytes[4] memory inputs = [
            abi.encode(sample.records[1]),
            abi.encodePacked(uint8(0), sample.digests[1]),
            abi.encodePacked(uint8(1), Tree.leaf(sample.digests[0])),
            abi.encodePacked(uint8(2), uint64(5))
        ];
        for (uint256 i = 0; i < inputs.length; ++i) {
            VM.mockCallRevert(address(2), inputs[i], "");
            _failsEmpty(round);
            _failsEmpty(rollout);
            VM.clearMockedCalls();
        }
        VM.mockCallRevert(address(2), abi.encodePacked(uint8(0), rollouts[2]), "");
        _failsEmpty(rollout);
        VM.clearMockedCalls();
        (bool done, bytes memory answer) = address(resolver).staticcall(rollout);
        VM.assertTrue(done && abi.decode(answer, (bool)));
    }

    function _failsEmpty(bytes memory call) private view {
        (bool done, bytes memory reason) = address(resolver).staticcall(call);
        VM.assertFalse(done);
        VM.assertEq(reason, "");
    }

    /// @dev Five rounds with the same four rollouts.
    function _withRollouts() private returns (Sample memory sample, bytes32[] memory rollouts) {
        rollouts = new bytes32[](4);
        for (uint256 i = 0; i < rollouts.length; ++i) {
            rollouts[i] = sha256(abi.encode("rollout", i));
        }
        RoundRecord[] memory records = new RoundRecord[](5);
        for (uint64 i = 0; i < records.length; ++i) {
            records[i] = _record(swarmId, nodeId, i + 1);
            records[i].rolloutsRoot = Tree.root(rollouts);
        }
        return (_attested(records), rollouts);
    }

    function _call(Sample memory sample, uint64 round, bytes32[] memory rollouts, uint256 position)
        private
        view
        returns (bytes memory)
    {
        RoundResolver.RolloutClaim memory claim = RoundResolver.RolloutClaim(
            sample.uid,
            sample.batch,
            _bodyOf(sample.records[round]),
            rollouts[position],
            position << 128 | rollouts.length
        );
        bytes32[] memory path = Tree.join(Tree.proof(rollouts, position), Tree.proof(sample.digests, round));
        return abi.encodeCall(resolver.proveRollout, (claim, path));
    }

    function _proves(Sample memory sample, uint64 round, uint64 path) private view returns (bool) {
        return resolver.proveRound(sample.uid, sample.batch, sample.records[round], Tree.proof(sample.digests, path));
    }

    function _provesRollout(
        Sample memory sample,
        uint64 round,
        bytes32[] memory rollouts,
        uint256 chosen,
        uint256 position,
        uint256 size
    ) private view returns (bool) {
        RoundResolver.RolloutClaim memory claim = RoundResolver.RolloutClaim(
            sample.uid, sample.batch, _bodyOf(sample.records[round]), rollouts[chosen], position << 128 | size
        );
        return resolver.proveRollout(claim, Tree.join(Tree.proof(rollouts, chosen), Tree.proof(sample.digests, round)));
    }

    function _batch(uint64 rounds) private returns (Sample memory) {
        RoundRecord[] memory records = new RoundRecord[](rounds);
        for (uint64 i = 0; i < rounds; ++i) {
            records[i] = _record(swarmId, nodeId, i + 1);
        }
        return _attested(records);
    }

    function _attested(RoundRecord[] memory records) private returns (Sample memory) {
        bytes32[] memory digests = _digests(records);
        RoundResolver.Rounds memory rounds = _rounds(swarmId, nodeId, 1, uint64(records.length), Tree.root(digests));
        rounds.head = digests[digests.length - 1];
        return Sample(_attest(key, rounds), _batchOf(rounds), records, digests);
    }

    function _digests(RoundRecord[] memory records) private pure returns (bytes32[] memory digests) {
        digests = new bytes32[](records.length);
        for (uint256 i = 0; i < records.length; ++i) {
            digests[i] = sha256(abi.encode(records[i]));
        }
    }
}
