// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The Reputation Registry of ERC-8004 (Trustless Agents)
/// @notice What clients say of agents. A value has 0 to 18 decimals; tags tell what it measures.
/// @dev https://eips.ethereum.org/EIPS/eip-8004
interface IReputationRegistry {
    /// @notice A client gave feedback on an agent.
    event NewFeedback(
        uint256 indexed agentId,
        address indexed clientAddress,
        uint64 feedbackIndex,
        int128 value,
        uint8 valueDecimals,
        string indexed indexedTag1,
        string tag1,
        string tag2,
        string endpoint,
        string feedbackURI,
        bytes32 feedbackHash
    );
    /// @notice A client took its feedback back.
    event FeedbackRevoked(uint256 indexed agentId, address indexed clientAddress, uint64 indexed feedbackIndex);
    /// @notice Somebody answered a feedback.
    event ResponseAppended(
        uint256 indexed agentId,
        address indexed clientAddress,
        uint64 feedbackIndex,
        address indexed responder,
        string responseURI,
        bytes32 responseHash
    );

    /// @notice Gives feedback on an agent that the sender does not control.
    function giveFeedback(
        uint256 agentId,
        int128 value,
        uint8 valueDecimals,
        string calldata tag1,
        string calldata tag2,
        string calldata endpoint,
        string calldata feedbackURI,
        bytes32 feedbackHash
    ) external;
    /// @notice Takes the sender's own feedback back. It stays readable, marked as revoked.
    function revokeFeedback(uint256 agentId, uint64 feedbackIndex) external;
    /// @notice Answers a feedback.
    function appendResponse(
        uint256 agentId,
        address clientAddress,
        uint64 feedbackIndex,
        string calldata responseURI,
        bytes32 responseHash
    ) external;

    /// @notice The identity registry of the agents.
    function getIdentityRegistry() external view returns (address identityRegistry);
    /// @notice Number and mean of what these clients said. Clients must be named: anyone can be a client.
    function getSummary(uint256 agentId, address[] calldata clientAddresses, string calldata tag1, string calldata tag2)
        external
        view
        returns (uint64 count, int128 summaryValue, uint8 summaryValueDecimals);
    /// @notice One feedback; indices count from 1.
    function readFeedback(uint256 agentId, address clientAddress, uint64 feedbackIndex)
        external
        view
        returns (int128 value, uint8 valueDecimals, string memory tag1, string memory tag2, bool isRevoked);
    /// @notice All feedback of these clients, or of all where none is named; empty tags stand for any.
    function readAllFeedback(
        uint256 agentId,
        address[] calldata clientAddresses,
        string calldata tag1,
        string calldata tag2,
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
        );
    /// @notice How many answers a feedback has from these accounts, or from all where none is named.
    function getResponseCount(
        uint256 agentId,
        address clientAddress,
        uint64 feedbackIndex,
        address[] calldata responders
    ) external view returns (uint64 count);
    /// @notice Who gave feedback on the agent.
    function getClients(uint256 agentId) external view returns (address[] memory);
    /// @notice The index of the client's last feedback on the agent; zero where there is none.
    function getLastIndex(uint256 agentId, address clientAddress) external view returns (uint64);
}
