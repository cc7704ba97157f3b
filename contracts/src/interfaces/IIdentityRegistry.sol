// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";

/// @title The Identity Registry of ERC-8004 (Trustless Agents)
/// @notice What other agents' tools expect of a registry. An agent is a Node here, and its agent wallet the Node's key.
/// @dev https://eips.ethereum.org/EIPS/eip-8004
interface IIdentityRegistry is IERC721 {
    /// @notice One entry of on-chain metadata.
    struct MetadataEntry {
        string metadataKey;
        bytes metadataValue;
    }

    /// @notice An agent was registered.
    event Registered(uint256 indexed agentId, string agentURI, address indexed owner);
    /// @notice An agent's metadata was set; an empty value means that it was removed.
    event MetadataSet(
        uint256 indexed agentId, string indexed indexedMetadataKey, string metadataKey, bytes metadataValue
    );
    /// @notice An agent's registration file moved.
    event URIUpdated(uint256 indexed agentId, string newURI, address indexed updatedBy);

    /// @notice Registers the sender with a registration file and metadata.
    function register(string calldata agentURI, MetadataEntry[] calldata metadata) external returns (uint256 agentId);
    /// @notice Registers the sender with a registration file.
    function register(string calldata agentURI) external returns (uint256 agentId);
    /// @notice Registers the sender; the registration file may follow by `setAgentURI`.
    function register() external returns (uint256 agentId);

    /// @notice Points the agent at another registration file.
    function setAgentURI(uint256 agentId, string calldata newURI) external;

    /// @notice Reads one metadata value; empty where there is none.
    function getMetadata(uint256 agentId, string calldata metadataKey) external view returns (bytes memory);
    /// @notice Sets one metadata value. The key `agentWallet` is reserved.
    function setMetadata(uint256 agentId, string calldata metadataKey, bytes calldata metadataValue) external;

    /// @notice The address that acts for the agent; zero when it has none.
    function getAgentWallet(uint256 agentId) external view returns (address);
    /// @notice Gives the agent another wallet, which signs for it.
    function setAgentWallet(uint256 agentId, address newWallet, uint256 deadline, bytes calldata signature) external;
    /// @notice Takes the agent's wallet away.
    function unsetAgentWallet(uint256 agentId) external;
}
