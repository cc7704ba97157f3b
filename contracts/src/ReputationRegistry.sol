// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {NodeRegistry} from "./NodeRegistry.sol";
import {IReputationRegistry} from "./interfaces/IReputationRegistry.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title What clients say of Nodes
/// @notice Anyone but who controls a Node may give feedback on it, which weighs as much as its giver: readers name the
/// clients that they trust. Nothing here is paid for or counted by other contracts.
/// @dev Strings are taken to memory: on the stack they would have two places each, and there are too many of them.
contract ReputationRegistry is IReputationRegistry {
    using SafeCast for int256;

    /// @dev One feedback. Indices count from 1.
    struct Feedback {
        int128 value;
        uint8 valueDecimals;
        bool isRevoked;
        uint64 responses;
        string tag1;
        string tag2;
    }

    /// @dev What a reader wants; empty tags stand for any.
    struct Query {
        address[] clients;
        string tag1;
        string tag2;
        bool includeRevoked;
    }

    struct Found {
        address client;
        uint64 index;
        Feedback feedback;
    }

    /// @notice Most decimals of a value; summaries have as many.
    uint8 public constant MAX_DECIMALS = 18;
    /// @notice Largest value, in whole units and either sign.
    int128 public constant MAX_VALUE = 1e20;
    /// @notice Longest tag, in bytes.
    uint256 public constant MAX_TAG_LENGTH = 64;
    /// @notice Longest address of an endpoint or file, in bytes.
    uint256 public constant MAX_URI_LENGTH = 2048;
    /// @notice The identities of Nodes.
    NodeRegistry public immutable NODES;

    mapping(uint256 agentId => address[] clients) private _clients;
    mapping(uint256 agentId => mapping(address client => Feedback[] feedback)) private _feedback;
    mapping(bytes32 feedback => mapping(address responder => uint64 count)) private _responses;

    /// @notice Who controls an agent gives no feedback on it.
    error SelfFeedback(uint256 agentId, address client);
    /// @notice The value has more than `MAX_DECIMALS`, or is beyond `MAX_VALUE`.
    error InvalidValue(int128 value, uint8 valueDecimals);
    /// @notice The field has more bytes than this registry takes.
    error TooLong(string field, uint256 length, uint256 limit);
    /// @notice The client gave no such feedback.
    error FeedbackNotFound(uint256 agentId, address client, uint64 feedbackIndex);
    /// @notice The feedback was revoked before.
    error FeedbackAlreadyRevoked(uint256 agentId, address client, uint64 feedbackIndex);
    /// @notice A summary needs to know whose word counts.
    error NoClients();

    /// @param nodes The identities of Nodes.
    constructor(NodeRegistry nodes) {
        NODES = nodes;
    }

    /// @inheritdoc IReputationRegistry
    function giveFeedback(
        uint256 agentId,
        int128 value,
        uint8 valueDecimals,
        string memory tag1,
        string memory tag2,
        string memory endpoint,
        string memory feedbackURI,
        bytes32 feedbackHash
    ) external {
        NODES.ownerOf(agentId); // reverts for agents that are not registered
        if (NODES.controls(msg.sender, agentId)) {
            revert SelfFeedback(agentId, msg.sender);
        }
        _checkValue(value, valueDecimals);
        _checkLength("tag1", tag1, MAX_TAG_LENGTH);
        _checkLength("tag2", tag2, MAX_TAG_LENGTH);
        _checkLength("endpoint", endpoint, MAX_URI_LENGTH);
        _checkLength("feedbackURI", feedbackURI, MAX_URI_LENGTH);
        uint64 index = _store(agentId, Feedback(value, valueDecimals, false, 0, tag1, tag2));
        emit NewFeedback(
            agentId, msg.sender, index, value, valueDecimals, tag1, tag1, tag2, endpoint, feedbackURI, feedbackHash
        );
    }

    /// @inheritdoc IReputationRegistry
    function revokeFeedback(uint256 agentId, uint64 feedbackIndex) external {
        Feedback storage feedback = _existing(agentId, msg.sender, feedbackIndex);
        if (feedback.isRevoked) {
            revert FeedbackAlreadyRevoked(agentId, msg.sender, feedbackIndex);
        }
        feedback.isRevoked = true;
        emit FeedbackRevoked(agentId, msg.sender, feedbackIndex);
    }

    /// @inheritdoc IReputationRegistry
    function appendResponse(
        uint256 agentId,
        address clientAddress,
        uint64 feedbackIndex,
        string memory responseURI,
        bytes32 responseHash
    ) external {
        _checkLength("responseURI", responseURI, MAX_URI_LENGTH);
        _existing(agentId, clientAddress, feedbackIndex).responses += 1;
        _responses[_key(agentId, clientAddress, feedbackIndex)][msg.sender] += 1;
        emit ResponseAppended(agentId, clientAddress, feedbackIndex, msg.sender, responseURI, responseHash);
    }

    /// @inheritdoc IReputationRegistry
    function getIdentityRegistry() external view returns (address identityRegistry) {
        return address(NODES);
    }

    /// @inheritdoc IReputationRegistry
    /// @dev The mean has `MAX_DECIMALS`, rounded towards zero; zero of nothing.
    function getSummary(uint256 agentId, address[] calldata clientAddresses, string memory tag1, string memory tag2)
        external
        view
        returns (uint64 count, int128 summaryValue, uint8 summaryValueDecimals)
    {
        if (clientAddresses.length == 0) {
            revert NoClients();
        }
        Query memory query = Query({clients: clientAddresses, tag1: tag1, tag2: tag2, includeRevoked: false});
        int256 sum = 0;
        for (uint256 i = 0; i < clientAddresses.length; ++i) {
            Feedback[] storage given = _feedback[agentId][clientAddresses[i]];
            for (uint256 j = 0; j < given.length; ++j) {
                if (_matches(given[j], query)) {
                    sum += int256(given[j].value) * int256(10 ** uint256(MAX_DECIMALS - given[j].valueDecimals));
                    ++count;
                }
            }
        }
        return (count, count == 0 ? int128(0) : (sum / int256(uint256(count))).toInt128(), MAX_DECIMALS);
    }

    /// @inheritdoc IReputationRegistry
    function readFeedback(uint256 agentId, address clientAddress, uint64 feedbackIndex)
        external
        view
        returns (int128 value, uint8 valueDecimals, string memory tag1, string memory tag2, bool isRevoked)
    {
        Feedback storage feedback = _existing(agentId, clientAddress, feedbackIndex);
        return (feedback.value, feedback.valueDecimals, feedback.tag1, feedback.tag2, feedback.isRevoked);
    }

    /// @inheritdoc IReputationRegistry
    function readAllFeedback(
        uint256 agentId,
        address[] memory clientAddresses,
        string memory tag1,
        string memory tag2,
        bool includeRevoked
    )
        external
        view
        returns (
            address[] memory clients,
            uint64[] memory feedbackIndexes,
            int128[] memory values,
            uint8[] memory valueDecimals,
            string[] memory tag1s,
            string[] memory tag2s,
            bool[] memory revokedStatuses
        )
    {
        return _columns(_find(agentId, Query(clientAddresses, tag1, tag2, includeRevoked)));
    }

    /// @inheritdoc IReputationRegistry
    function getResponseCount(
        uint256 agentId,
        address clientAddress,
        uint64 feedbackIndex,
        address[] calldata responders
    ) external view returns (uint64 count) {
        if (responders.length == 0) {
            return _existing(agentId, clientAddress, feedbackIndex).responses;
        }
        bytes32 key = _key(agentId, clientAddress, feedbackIndex);
        for (uint256 i = 0; i < responders.length; ++i) {
            count += _responses[key][responders[i]];
        }
    }

    /// @inheritdoc IReputationRegistry
    function getClients(uint256 agentId) external view returns (address[] memory) {
        return _clients[agentId];
    }

    /// @inheritdoc IReputationRegistry
    function getLastIndex(uint256 agentId, address clientAddress) external view returns (uint64) {
        // forge-lint: disable-next-line(unsafe-typecast) nobody can pay for so many
        return uint64(_feedback[agentId][clientAddress].length);
    }

    function _store(uint256 agentId, Feedback memory feedback) private returns (uint64 index) {
        Feedback[] storage given = _feedback[agentId][msg.sender];
        if (given.length == 0) {
            _clients[agentId].push(msg.sender);
        }
        given.push(feedback);
        // forge-lint: disable-next-line(unsafe-typecast) nobody can pay for so many
        return uint64(given.length);
    }

    function _find(uint256 agentId, Query memory query) private view returns (Found[] memory found) {
        if (query.clients.length == 0) {
            query.clients = _clients[agentId];
        }
        found = new Found[](_select(agentId, query, new Found[](0)));
        _select(agentId, query, found);
    }

    /// @dev Counts what matches, and notes it where there is room for it.
    function _select(uint256 agentId, Query memory query, Found[] memory found) private view returns (uint256 count) {
        for (uint256 i = 0; i < query.clients.length; ++i) {
            Feedback[] storage given = _feedback[agentId][query.clients[i]];
            for (uint256 j = 0; j < given.length; ++j) {
                if (_matches(given[j], query)) {
                    if (count < found.length) {
                        // forge-lint: disable-next-line(unsafe-typecast) nobody can pay for so many
                        found[count] = Found({client: query.clients[i], index: uint64(j + 1), feedback: given[j]});
                    }
                    ++count;
                }
            }
        }
    }

    function _columns(Found[] memory found)
        private
        pure
        returns (
            address[] memory clients,
            uint64[] memory feedbackIndexes,
            int128[] memory values,
            uint8[] memory valueDecimals,
            string[] memory tag1s,
            string[] memory tag2s,
            bool[] memory revokedStatuses
        )
    {
        clients = new address[](found.length);
        feedbackIndexes = new uint64[](found.length);
        values = new int128[](found.length);
        valueDecimals = new uint8[](found.length);
        tag1s = new string[](found.length);
        tag2s = new string[](found.length);
        revokedStatuses = new bool[](found.length);
        for (uint256 i = 0; i < found.length; ++i) {
            clients[i] = found[i].client;
            feedbackIndexes[i] = found[i].index;
            values[i] = found[i].feedback.value;
            valueDecimals[i] = found[i].feedback.valueDecimals;
            tag1s[i] = found[i].feedback.tag1;
            tag2s[i] = found[i].feedback.tag2;
            revokedStatuses[i] = found[i].feedback.isRevoked;
        }
    }

    function _existing(uint256 agentId, address client, uint64 index) private view returns (Feedback storage) {
        Feedback[] storage given = _feedback[agentId][client];
        if (index == 0 || index > given.length) {
            revert FeedbackNotFound(agentId, client, index);
        }
        return given[index - 1];
    }

    function _matches(Feedback storage feedback, Query memory query) private view returns (bool) {
        return (query.includeRevoked || !feedback.isRevoked) && _isTag(feedback.tag1, query.tag1)
            && _isTag(feedback.tag2, query.tag2);
    }

    function _isTag(string memory tag, string memory wanted) private pure returns (bool) {
        return bytes(wanted).length == 0 || keccak256(bytes(tag)) == keccak256(bytes(wanted));
    }

    function _checkValue(int128 value, uint8 valueDecimals) private pure {
        if (valueDecimals > MAX_DECIMALS) {
            revert InvalidValue(value, valueDecimals);
        }
        int256 limit = int256(MAX_VALUE) * int256(10 ** uint256(valueDecimals));
        if (value > limit || value < -limit) {
            revert InvalidValue(value, valueDecimals);
        }
    }

    function _checkLength(string memory field, string memory text, uint256 limit) private pure {
        if (bytes(text).length > limit) {
            revert TooLong(field, bytes(text).length, limit);
        }
    }

    function _key(uint256 agentId, address client, uint64 index) private pure returns (bytes32) {
        return keccak256(abi.encode(agentId, client, index));
    }
}
