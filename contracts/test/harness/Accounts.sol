// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @notice A smart account: its signatures are those of the key it trusts (ERC-1271).
contract SmartAccount is IERC1271 {
    address private immutable TRUSTED;

    constructor(address trusted) {
        TRUSTED = trusted;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        return ECDSA.recoverCalldata(digest, signature) == TRUSTED ? this.isValidSignature.selector : bytes4(0);
    }
}

/// @notice Code of an account that takes no signature at all.
contract Wallet {
    receive() external payable {}
}
