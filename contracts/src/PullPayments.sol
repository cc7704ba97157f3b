// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

/// @title Ether and ERC-20 tokens that come in, and go out only to who fetches them
/// @notice The zero address stands for ether. Of what comes in counts what arrived, so that a token that keeps a fee brings
/// nobody into debt. Tokens whose balances change by themselves are not for this contract.
/// @dev No owner, no pause: nothing here can be kept from who it is credited to, and no receiver can hold another up.
abstract contract PullPayments is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    mapping(IERC20 token => mapping(address account => uint256 amount)) private _credits;

    /// @notice An account may fetch this much more.
    event Credited(IERC20 indexed token, address indexed account, uint256 amount);
    /// @notice An account fetched all that it had.
    event Claimed(IERC20 indexed token, address indexed account, uint256 amount);

    /// @notice The account has nothing to fetch.
    error NothingToClaim(IERC20 token, address account);
    /// @notice The ether sent along must be the amount, or none where a token is paid.
    error WrongValue(uint256 expected, uint256 sent);
    /// @notice Nothing arrived.
    error NothingReceived(IERC20 token);

    /// @notice Sends the caller all that it is credited with in this token.
    /// @param token The token; zero for ether.
    /// @return amount What was sent.
    function claim(IERC20 token) external returns (uint256 amount) {
        return _claim(token, msg.sender);
    }

    /// @notice Sends all that the caller is credited with in this token to another account.
    /// @param token The token; zero for ether.
    /// @param to Who gets it.
    /// @return amount What was sent.
    function claimTo(IERC20 token, address to) external returns (uint256 amount) {
        return _claim(token, to);
    }

    /// @notice What the account may fetch in this token.
    function claimable(IERC20 token, address account) external view returns (uint256) {
        return _credits[token][account];
    }

    /// @dev The credit is gone before anything else is called, so that coming back finds nothing.
    function _claim(IERC20 token, address to) private returns (uint256 amount) {
        amount = _credits[token][msg.sender];
        if (amount == 0) {
            revert NothingToClaim(token, msg.sender);
        }
        _credits[token][msg.sender] = 0;
        emit Claimed(token, msg.sender, amount);
        _send(token, to, amount);
    }

    function _credit(IERC20 token, address account, uint256 amount) internal {
        _credits[token][account] += amount;
        emit Credited(token, account, amount);
    }

    /// @dev To be called by functions that are `nonReentrant`, or a token's hook could change the balance in between, and
    /// only with a payer that asked for it. Ether is the caller's.
    function _receive(IERC20 token, address payer, uint256 amount) internal returns (uint256 received) {
        if (address(token) == address(0)) {
            received = amount;
            _checkValue(amount);
        } else {
            _checkValue(0);
            uint256 before = token.balanceOf(address(this));
            token.safeTransferFrom(payer, address(this), amount);
            received = token.balanceOf(address(this)) - before;
        }
        if (received == 0) {
            revert NothingReceived(token);
        }
    }

    function _send(IERC20 token, address to, uint256 amount) internal {
        if (address(token) == address(0)) {
            Address.sendValue(payable(to), amount);
        } else {
            token.safeTransfer(to, amount);
        }
    }

    function _checkValue(uint256 expected) private view {
        if (msg.value != expected) {
            revert WrongValue(expected, msg.value);
        }
    }
}
