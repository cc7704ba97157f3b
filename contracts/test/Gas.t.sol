// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RoundRecord} from "../src/RoundRecord.sol";
import {RoundResolver} from "../src/RoundResolver.sol";
import {SwarmRegistry} from "../src/SwarmRegistry.sol";
import {Fixture} from "./harness/Fixture.sol";
import {Tree} from "./harness/Tree.sol";
import {VM} from "./harness/Vm.sol";

/// @notice What a transaction costs, its base and its calldata included: run with --isolate. The figures go to
/// snapshots/gas.json and are compared there.
contract GasTest is Fixture {
    bytes32 private swarmId;
    uint256 private nodeId;
    address private key;

    function setUp() public override {
        super.setUp();
        (swarmId, nodeId) = _member(KEY);
        key = VM.addr(KEY);
        _attest(key, _rounds(swarmId, nodeId, 1, 1, keccak256("root")));
    }

    function test_gas_register() public {
        bytes memory signature = _signRegistration(OTHER_KEY, address(0x0113), 0, block.timestamp);
        nodes.registerKey(VM.addr(OTHER_KEY), address(0x0113), "", block.timestamp, signature);
        _keep("register", _used(), 1);
    }

    function test_gas_rotateKey() public {
        bytes memory signature = _signRotation(OTHER_KEY, nodeId, key, 0, block.timestamp);
        VM.prank(key);
        nodes.setAgentWallet(nodeId, VM.addr(OTHER_KEY), block.timestamp, signature);
        uint256 used = _used();
        _keep("rotate_key", used, 1);
        VM.assertLe(used, 80_000, "a rotation costs at most 80,000 gas");
    }

    function test_gas_participation() public {
        VM.prank(swarmOwner);
        bytes32 other = swarms.createSwarm("other", CONFIG, SwarmRegistry.Policy.Open, "");
        _keep("create_swarm", _used(), 1);
        _join(other, KEY);
        _keep("join", _used(), 1);
        VM.prank(key);
        swarms.quit(other, nodeId);
        _keep("quit", _used(), 1);
    }

    function test_gas_attest() public {
        _attest(key, _rounds(swarmId, nodeId, 2, 2, keccak256("root")));
        _keep("round_at_1", _used(), 1);
        _attest(key, _rounds(swarmId, nodeId, 3, 6, keccak256("root")));
        _keep("round_at_4", _used(), 4);
        _attest(key, _rounds(swarmId, nodeId, 7, 22, keccak256("root")));
        uint256 used = _used();
        _keep("round_at_16", used, 16);
        _keep("rollout_at_1000", used, 16 * 1000);
        VM.assertLe(used / 16, 30_000, "a round costs at most 30,000 gas at 16 rounds a batch");
    }

    function test_gas_proofs() public {
        bytes32[] memory rollouts = new bytes32[](1000);
        for (uint256 i = 0; i < rollouts.length; ++i) {
            rollouts[i] = sha256(abi.encode("rollout", i));
        }
        bytes32[] memory digests = new bytes32[](16);
        RoundRecord memory record;
        for (uint64 i = 0; i < 16; ++i) {
            RoundRecord memory each = _record(swarmId, nodeId, i + 2);
            each.rolloutsRoot = Tree.root(rollouts);
            digests[i] = sha256(abi.encode(each));
            record = i == 5 ? each : record;
        }
        RoundResolver.Rounds memory rounds = _rounds(swarmId, nodeId, 2, 17, Tree.root(digests));
        bytes32 uid = _attest(key, rounds);
        RoundResolver.Batch memory batch = _batchOf(rounds);
        bytes32[] memory proof = Tree.proof(digests, 5);
        uint256 used = _proof(abi.encodeCall(resolver.proveRound, (uid, batch, record, proof)));
        _keep("prove_round", used, 1);
        VM.assertLe(used, 45_000, "a round's proof costs at most 45,000 gas");
        RoundResolver.Rollout memory rollout =
            RoundResolver.Rollout(rollouts[700], 700, 1000, Tree.proof(rollouts, 700));
        _keep("prove_rollout", _proof(abi.encodeCall(resolver.proveRollout, (uid, batch, record, proof, rollout))), 1);
    }

    /// @dev Sent as a transaction: a view's own call would leave out the base and the calldata.
    function _proof(bytes memory call) private returns (uint256) {
        (bool done, bytes memory answer) = address(resolver).call(call);
        VM.assertTrue(done && abi.decode(answer, (bool)), "not proven");
        return _used();
    }

    function _used() private view returns (uint256) {
        return VM.lastCallGas().gasTotalUsed;
    }

    function _keep(string memory name, uint256 used, uint256 units) private {
        VM.snapshotValue("gas", name, used / units);
    }
}
