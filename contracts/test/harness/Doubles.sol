// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IStakes} from "../../src/interfaces/IStakes.sol";
import {IVerifier} from "../../src/interfaces/IVerifier.sol";

/// @notice A verifier that says what it was told to say.
contract Verifier is IVerifier {
    mapping(bytes32 uid => Verdict verdict) private _verdicts;

    function decide(bytes32 uid, uint64 rounds, uint64 tokens) external {
        _verdicts[uid] = Verdict({decided: true, rounds: rounds, tokens: tokens});
    }

    function verdict(bytes32 uid, bytes32, uint256, uint64, uint64) external view returns (Verdict memory) {
        return _verdicts[uid];
    }
}

/// @notice Stakes that are what they were set to.
contract Stakes is IStakes {
    mapping(bytes32 swarmId => mapping(uint256 nodeId => uint256 stake)) public stakeOf;

    function set(bytes32 swarmId, uint256 nodeId, uint256 stake) external {
        stakeOf[swarmId][nodeId] = stake;
    }

    function slash(bytes32 swarmId, uint256 nodeId, bytes32 uid, uint256 amount, address to) external {
        stakeOf[swarmId][nodeId] -= amount;
        emit Slashed(swarmId, nodeId, uid, amount, to);
    }
}

/// @notice An account that takes no ether.
contract NoReceiver {
    function call(address target, bytes calldata data) external returns (bool done) {
        (done,) = target.call(data);
    }
}
