// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Crowdfunding} from "../src/Crowdfunding.sol";
import {RoundRecord} from "../src/RoundRecord.sol";
import {RoundResolver} from "../src/RoundResolver.sol";
import {SwarmRegistry} from "../src/SwarmRegistry.sol";
import {Treasury} from "../src/Treasury.sol";
import {IStakes} from "../src/interfaces/IStakes.sol";
import {ITreasury} from "../src/interfaces/ITreasury.sol";
import {IVerifier} from "../src/interfaces/IVerifier.sol";
import {Fixture} from "./harness/Fixture.sol";
import {Token} from "./harness/Tokens.sol";
import {Tree} from "./harness/Tree.sol";
import {VM} from "./harness/Vm.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

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

    function test_gas_createFundedSwarm() public {
        VM.deal(key, 1e18);
        SwarmRegistry.StakeTerms memory none = SwarmRegistry.StakeTerms(IStakes(address(0)), 0);
        ITreasury.Terms memory terms = ITreasury.Terms({
            swarmId: swarms.swarmIdOf(key, "other"),
            token: IERC20(address(0)),
            unit: ITreasury.Unit.Round,
            rate: 1000,
            window: 0,
            verifier: IVerifier(address(0))
        });
        SwarmRegistry.Budget memory budget = SwarmRegistry.Budget(treasury, terms, 1e18);
        VM.prank(key);
        swarms.createFundedSwarm{value: 1e18}("other", CONFIG, SwarmRegistry.Policy.Open, none, "", budget);
        _keep("create_funded_swarm", _used(), 1);
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

    function test_gas_rewardsInEther() public {
        _keepClaims("_ether", IERC20(address(0)));
    }

    function test_gas_rewardsInAToken() public {
        Token token = new Token();
        token.mint(address(this), 1e18);
        token.approve(address(treasury), 1e18);
        _keepClaims("", token);
    }

    function test_gas_crowdfunding() public {
        Crowdfunding.Milestone[] memory milestones = new Crowdfunding.Milestone[](1);
        milestones[0] = Crowdfunding.Milestone(Crowdfunding.Measure.Rounds, 1, 10_000);
        Crowdfunding.Terms memory terms = Crowdfunding.Terms({
            swarmId: swarmId,
            token: IERC20(address(0)),
            beneficiary: swarmOwner,
            evaluator: address(0),
            goal: 1000,
            deadline: uint64(block.timestamp + 1 days),
            end: uint64(block.timestamp + 2 days)
        });
        bytes32 campaignId = crowdfunding.createCampaign(SALT, terms, milestones);
        crowdfunding.pledge{value: 10}(campaignId, 10);
        VM.deal(key, 1e20);
        VM.prank(key);
        crowdfunding.pledge{value: 10}(campaignId, 10);
        _keep("pledge", _used(), 1);
        VM.warp(block.timestamp + 2 days);
        VM.prank(key);
        crowdfunding.refund(campaignId, key);
        _keep("refund", _used(), 1);
    }

    /// @dev Of the first, an inner and the last round and rollout: the dearest of each.
    function test_gas_proofs() public {
        bytes32[] memory rollouts = new bytes32[](1000);
        for (uint256 i = 0; i < rollouts.length; ++i) {
            rollouts[i] = sha256(abi.encode("rollout", i));
        }
        bytes32[] memory digests = new bytes32[](16);
        RoundRecord[] memory records = new RoundRecord[](16);
        for (uint64 i = 0; i < 16; ++i) {
            records[i] = _record(swarmId, nodeId, i + 2);
            records[i].previous = i == 0 ? HEAD : records[i].previous;
            records[i].rolloutsRoot = Tree.root(rollouts);
            digests[i] = sha256(abi.encode(records[i]));
        }
        RoundResolver.Rounds memory rounds = _rounds(swarmId, nodeId, 2, 17, Tree.root(digests));
        rounds.head = digests[15];
        bytes32 uid = _attest(key, rounds);
        RoundResolver.Batch memory batch = _batchOf(rounds);
        uint256 round = 0;
        uint256 rollout = 0;
        for (uint256 i = 0; i < 9; ++i) {
            uint256 index = [uint256(0), 5, 15][i / 3];
            bytes32[] memory proof = Tree.proof(digests, index);
            round = _more(round, _proof(abi.encodeCall(resolver.proveRound, (uid, batch, records[index], proof))));
            uint256 position = [uint256(0), 700, 999][i % 3];
            bytes32[] memory path = Tree.join(Tree.proof(rollouts, position), proof);
            RoundResolver.RolloutClaim memory claim = RoundResolver.RolloutClaim(
                uid, batch, _bodyOf(records[index]), rollouts[position], position << 128 | 1000
            );
            rollout = _more(rollout, _proof(abi.encodeCall(resolver.proveRollout, (claim, path))));
        }
        _keep("prove_round", round, 1);
        _keep("prove_rollout", rollout, 1);
        VM.assertLe(round, 45_000, "a round's proof costs at most 45,000 gas");
        VM.assertLe(rollout, 45_000, "a rollout's proof costs at most 45,000 gas");
    }

    /// @dev The first claim of an account that holds nothing yet, and the next one, each of one settled attestation.
    function _keepClaims(string memory suffix, IERC20 token) private {
        ITreasury.Terms memory terms = ITreasury.Terms({
            swarmId: swarmId,
            token: token,
            unit: ITreasury.Unit.Round,
            rate: 1000,
            window: 0,
            verifier: IVerifier(address(0))
        });
        bytes32 poolId = treasury.openPool(SALT, terms);
        treasury.fund{value: address(token) == address(0) ? 1e18 : 0}(poolId, 1e18);
        for (uint64 turn = 0; turn < 2; ++turn) {
            RoundResolver.Rounds memory rounds =
                _rounds(swarmId, nodeId, 2 + 16 * turn, 17 + 16 * turn, keccak256("root"));
            bytes32 uid = _attest(key, rounds);
            VM.prank(key);
            treasury.settle(poolId, nodeId, uid, keccak256("root"), _batchOf(rounds), 1);
            if (turn == 1) {
                _keep(string.concat("settle", suffix), _used(), 1);
            }
            VM.prank(key);
            treasury.claim(token);
            uint256 used = _used();
            _keep(string.concat(turn == 0 ? "claim_first" : "claim_repeat", suffix), used, 1);
            VM.assertLe(used, turn == 0 ? 80_000 : 40_000, "a claim costs at most 80,000 gas, then 40,000");
        }
    }

    /// @dev Sent as a transaction: a view's own call would leave out the base and the calldata.
    function _proof(bytes memory call) private returns (uint256) {
        (bool done, bytes memory answer) = address(resolver).call(call);
        VM.assertTrue(done && abi.decode(answer, (bool)), "not proven");
        return _used();
    }

    function _more(uint256 one, uint256 other) private pure returns (uint256) {
        return one > other ? one : other;
    }

    function _used() private view returns (uint256) {
        return VM.lastCallGas().gasTotalUsed;
    }

    function _keep(string memory name, uint256 used, uint256 units) private {
        VM.snapshotValue("gas", name, used / units);
    }
}
