// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice A token as the standard has it.
contract Token is ERC20("Token", "TOK") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// @notice A token that keeps a hundredth of every transfer.
contract FeeToken is ERC20("Fee", "FEE") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (from != address(0)) {
            super._update(from, address(0), amount / 100);
            amount -= amount / 100;
        }
        super._update(from, to, amount);
    }
}

/// @notice A token whose transfers return nothing, as those of some old tokens of great value.
contract SilentToken {
    mapping(address account => uint256 balance) public balanceOf;
    mapping(address owner => mapping(address spender => uint256 amount)) public allowance;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external {
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// @notice A token that says no instead of reverting.
contract RefusingToken is ERC20("Refusing", "NO") {
    function transferFrom(address, address, uint256) public pure override returns (bool) {
        return false;
    }
}

/// @notice A token that says yes and moves nothing.
contract EmptyToken is ERC20("Empty", "NIL") {
    function transferFrom(address, address, uint256) public pure override returns (bool) {
        return true;
    }
}

/// @notice A token whose issuer may freeze accounts, as those of the largest stablecoins.
contract FreezingToken is ERC20("Freezing", "ICE") {
    mapping(address account => bool) public frozen;

    error Frozen(address account);

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function freeze(address account) external {
        frozen[account] = true;
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (frozen[from] || frozen[to]) {
            revert Frozen(frozen[from] ? from : to);
        }
        super._update(from, to, amount);
    }
}

/// @notice A token that calls back while it moves.
contract CallingToken is ERC20("Calling", "CALL") {
    address private _target;
    bytes private _call;
    bytes public answer;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function callDuringTransfer(address target, bytes calldata call) external {
        (_target, _call) = (target, call);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (_target != address(0)) {
            // forge-lint: disable-next-line(unchecked-call) what came of it is what tests look at
            (, answer) = _target.call(_call);
        }
    }
}
