// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";

/// @notice The least that a Validation Registry of ERC-8004 must do and keep, to compare its cost: requests by who controls
/// the agent, answers by the validator named, and the views that the standard asks for.
/// @dev https://eips.ethereum.org/EIPS/eip-8004
contract ValidationRegistry {
    struct Status {
        address validator;
        uint8 response;
        uint64 lastUpdate;
        uint256 agentId;
        bytes32 responseHash;
        string tag;
    }

    IERC721 private immutable IDENTITIES;
    mapping(bytes32 requestHash => Status status) private _statuses;
    mapping(uint256 agentId => bytes32[] requests) private _ofAgent;
    mapping(address validator => bytes32[] requests) private _ofValidator;

    event ValidationRequest(
        address indexed validatorAddress, uint256 indexed agentId, string requestURI, bytes32 indexed requestHash
    );
    event ValidationResponse(
        address indexed validatorAddress,
        uint256 indexed agentId,
        bytes32 indexed requestHash,
        uint8 response,
        string responseURI,
        bytes32 responseHash,
        string tag
    );

    error NotAllowed();

    constructor(IERC721 identities) {
        IDENTITIES = identities;
    }

    function validationRequest(address validator, uint256 agentId, string calldata uri, bytes32 requestHash) external {
        if (msg.sender != IDENTITIES.ownerOf(agentId) || _statuses[requestHash].validator != address(0)) {
            revert NotAllowed();
        }
        (_statuses[requestHash].validator, _statuses[requestHash].agentId) = (validator, agentId);
        _ofAgent[agentId].push(requestHash);
        _ofValidator[validator].push(requestHash);
        emit ValidationRequest(validator, agentId, uri, requestHash);
    }

    function validationResponse(
        bytes32 requestHash,
        uint8 response,
        string calldata uri,
        bytes32 responseHash,
        string calldata tag
    ) external {
        Status storage status = _statuses[requestHash];
        if (msg.sender != status.validator || response > 100) {
            revert NotAllowed();
        }
        (status.response, status.lastUpdate) = (response, uint64(block.timestamp));
        (status.responseHash, status.tag) = (responseHash, tag);
        emit ValidationResponse(msg.sender, status.agentId, requestHash, response, uri, responseHash, tag);
    }

    function getValidationStatus(bytes32 requestHash) external view returns (Status memory) {
        return _statuses[requestHash];
    }

    function getAgentValidations(uint256 agentId) external view returns (bytes32[] memory) {
        return _ofAgent[agentId];
    }

    function getValidatorRequests(address validator) external view returns (bytes32[] memory) {
        return _ofValidator[validator];
    }
}
