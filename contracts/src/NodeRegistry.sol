// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IIdentityRegistry} from "./interfaces/IIdentityRegistry.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ERC721URIStorage} from "@openzeppelin/contracts/token/ERC721/extensions/ERC721URIStorage.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";

/// @title Identities of Nodes
/// @notice A Node is an ERC-721 token with one key at a time: the key signs its rollouts and attests its rounds, the
/// owner decides over it. They may be the same account.
/// @dev Unlike ERC-8004's counter, a Node's id is the address of the key that registers it, so that a Node knows its id
/// before it reaches the chain and nobody else can take it. Every key proves itself: by sending the transaction, or by a
/// signature that names this chain, this contract, the owner, the key's nonce and a deadline. A key serves one Node only,
/// for ever.
contract NodeRegistry is IIdentityRegistry, ERC721URIStorage, EIP712 {
    /// @dev One slot: a Node's id has 160 bits.
    struct KeyState {
        uint160 nodeId;
        uint64 nonce;
    }

    /// @notice EIP-712 type of a key's consent to be registered for an owner.
    bytes32 public constant REGISTRATION_TYPEHASH =
        keccak256("Registration(address key,address owner,uint256 nonce,uint256 deadline)");
    /// @notice EIP-712 type of a key's consent to take over a Node from its current key.
    bytes32 public constant ROTATION_TYPEHASH =
        keccak256("Rotation(uint256 nodeId,address key,address owner,uint256 nonce,uint256 deadline)");
    /// @notice Longest registration file address, in bytes.
    uint256 public constant MAX_URI_LENGTH = 2048;
    /// @notice Longest metadata key, in bytes.
    uint256 public constant MAX_METADATA_KEY_LENGTH = 64;
    /// @notice Longest metadata value, in bytes.
    uint256 public constant MAX_METADATA_VALUE_LENGTH = 1024;

    string private constant KEY_METADATA = "agentWallet";

    mapping(uint256 nodeId => address key) private _keys;
    mapping(address key => KeyState state) private _states;
    mapping(uint256 nodeId => mapping(string metadataKey => bytes metadataValue)) private _metadata;

    /// @notice A Node's key changed; zero stands for none.
    event KeyChanged(uint256 indexed nodeId, address indexed previous, address indexed key);

    /// @notice The key serves, or once served, the Node `nodeId`: make a fresh one.
    error KeyAlreadyUsed(address key, uint256 nodeId);
    /// @notice The signature is not the key's over this proof with this nonce.
    error InvalidKeyProof(address key, uint256 nonce);
    /// @notice The proof's deadline has passed: sign another.
    error KeyProofExpired(uint256 deadline, uint256 time);
    /// @notice The metadata key is kept by the registry itself.
    error ReservedMetadataKey(string metadataKey);
    /// @notice The field has more bytes than this registry stores.
    error TooLong(string field, uint256 length, uint256 limit);

    constructor() ERC721("KubeSwarm Node", "NODE") EIP712("KubeSwarm", "1") {}

    /// @inheritdoc IIdentityRegistry
    function register() external returns (uint256 nodeId) {
        return _register(msg.sender, msg.sender, "");
    }

    /// @inheritdoc IIdentityRegistry
    function register(string calldata uri) external returns (uint256 nodeId) {
        return _register(msg.sender, msg.sender, uri);
    }

    /// @inheritdoc IIdentityRegistry
    function register(string calldata uri, MetadataEntry[] calldata metadata) external returns (uint256 nodeId) {
        nodeId = _register(msg.sender, msg.sender, uri);
        for (uint256 i = 0; i < metadata.length; ++i) {
            _setMetadata(nodeId, metadata[i].metadataKey, metadata[i].metadataValue);
        }
    }

    /// @notice Registers `key` as a Node of `owner`. Anyone may send it: the key's signature is the consent.
    /// @param key The Node's key; its address becomes the Node's id.
    /// @param owner Who owns the Node; may be the key.
    /// @param uri The ERC-8004 registration file; may be empty.
    /// @param deadline Last second (Unix time) in which the signature counts.
    /// @param signature The key's EIP-712 signature over `Registration(key, owner, nonces(key), deadline)`.
    /// @return nodeId The Node's id.
    function registerKey(address key, address owner, string calldata uri, uint256 deadline, bytes calldata signature)
        external
        returns (uint256 nodeId)
    {
        uint256 nonce = _useNonce(key);
        _checkProof(
            key, nonce, deadline, keccak256(abi.encode(REGISTRATION_TYPEHASH, key, owner, nonce, deadline)), signature
        );
        return _register(key, owner, uri);
    }

    /// @notice Rotates the Node to another key, which counts from the next block on; the old one is retired.
    /// @dev The owner or an operator of it sends; `key` signs `Rotation(nodeId, key, owner, nonces(key), deadline)`. A
    /// retired key may come back to its own Node.
    function setAgentWallet(uint256 nodeId, address key, uint256 deadline, bytes calldata signature) external {
        address owner = _checkOwner(nodeId);
        KeyState memory state = _states[key];
        if (_keys[nodeId] == key || (state.nodeId != 0 && state.nodeId != nodeId)) {
            revert KeyAlreadyUsed(key, state.nodeId);
        }
        _checkProof(
            key,
            state.nonce,
            deadline,
            keccak256(abi.encode(ROTATION_TYPEHASH, nodeId, key, owner, state.nonce, deadline)),
            signature
        );
        // forge-lint: disable-next-line(unsafe-typecast) every registered id is an address
        _states[key] = KeyState({nodeId: uint160(nodeId), nonce: state.nonce + 1});
        _setKey(nodeId, key);
    }

    /// @notice Retires the Node's key without a successor: it can't act until the owner sets another.
    function unsetAgentWallet(uint256 nodeId) external {
        _checkOwner(nodeId);
        _setKey(nodeId, address(0));
    }

    /// @inheritdoc IIdentityRegistry
    function setAgentURI(uint256 nodeId, string calldata uri) external {
        _checkOwner(nodeId);
        _checkLength("uri", bytes(uri).length, MAX_URI_LENGTH);
        _setTokenURI(nodeId, uri);
        emit URIUpdated(nodeId, uri, msg.sender);
    }

    /// @inheritdoc IIdentityRegistry
    function setMetadata(uint256 nodeId, string calldata metadataKey, bytes calldata metadataValue) external {
        _checkOwner(nodeId);
        _setMetadata(nodeId, metadataKey, metadataValue);
    }

    /// @inheritdoc IIdentityRegistry
    function getMetadata(uint256 nodeId, string calldata metadataKey) external view returns (bytes memory) {
        if (_isKeyMetadata(metadataKey)) {
            return _keyMetadata(_keys[nodeId]);
        }
        return _metadata[nodeId][metadataKey];
    }

    /// @inheritdoc IIdentityRegistry
    function getAgentWallet(uint256 nodeId) external view returns (address) {
        _requireOwned(nodeId);
        return _keys[nodeId];
    }

    /// @notice The Node's current key; zero when it has none or is not registered.
    function keyOf(uint256 nodeId) external view returns (address) {
        return _keys[nodeId];
    }

    /// @notice The Node whose current key this is; zero when it is none's.
    function nodeOf(address key) external view returns (uint256) {
        uint256 nodeId = _states[key].nodeId;
        return _keys[nodeId] == key ? nodeId : 0;
    }

    /// @notice The nonce that the next proof of this key must carry.
    function nonces(address key) external view returns (uint256) {
        return _states[key].nonce;
    }

    /// @notice Whether the account may act for the Node: as its key, its owner, or an operator of the owner's.
    function controls(address account, uint256 nodeId) external view returns (bool) {
        return account != address(0) && (account == _keys[nodeId] || _isAuthorized(_ownerOf(nodeId), account, nodeId));
    }

    /// @notice The separator of this contract's EIP-712 domain: KubeSwarm, version 1.
    // forge-lint: disable-next-line(mixed-case-function) the name that ERC-2612 made common
    function DOMAIN_SEPARATOR() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) public view override(ERC721URIStorage, IERC165) returns (bool) {
        return interfaceId == type(IIdentityRegistry).interfaceId || super.supportsInterface(interfaceId);
    }

    /// @dev A new owner has to give the Node a key of their own, as in ERC-8004.
    function _update(address to, uint256 nodeId, address auth) internal override returns (address from) {
        from = super._update(to, nodeId, auth);
        if (from != address(0) && from != to) {
            _setKey(nodeId, address(0));
        }
    }

    /// @dev `_mint` and not `_safeMint`: no owner's code runs here.
    function _register(address key, address owner, string memory uri) private returns (uint256 nodeId) {
        nodeId = uint160(key);
        if (_states[key].nodeId != 0) {
            revert KeyAlreadyUsed(key, _states[key].nodeId);
        }
        _checkLength("uri", bytes(uri).length, MAX_URI_LENGTH);
        _states[key].nodeId = uint160(key);
        _mint(owner, nodeId);
        if (bytes(uri).length != 0) {
            _setTokenURI(nodeId, uri);
        }
        emit Registered(nodeId, uri, owner);
        _setKey(nodeId, key);
    }

    function _setKey(uint256 nodeId, address key) private {
        address previous = _keys[nodeId];
        _keys[nodeId] = key;
        emit KeyChanged(nodeId, previous, key);
        emit MetadataSet(nodeId, KEY_METADATA, KEY_METADATA, _keyMetadata(key));
    }

    function _setMetadata(uint256 nodeId, string calldata metadataKey, bytes calldata metadataValue) private {
        if (_isKeyMetadata(metadataKey)) {
            revert ReservedMetadataKey(metadataKey);
        }
        _checkLength("metadataKey", bytes(metadataKey).length, MAX_METADATA_KEY_LENGTH);
        _checkLength("metadataValue", metadataValue.length, MAX_METADATA_VALUE_LENGTH);
        _metadata[nodeId][metadataKey] = metadataValue;
        emit MetadataSet(nodeId, metadataKey, metadataKey, metadataValue);
    }

    function _useNonce(address key) private returns (uint256) {
        return _states[key].nonce++;
    }

    /// @dev ECDSA comes first, so that the own key of an account that delegates its code (EIP-7702) counts.
    function _checkProof(address key, uint256 nonce, uint256 deadline, bytes32 structHash, bytes calldata signature)
        private
        view
    {
        // forge-lint: disable-next-line(block-timestamp) deadlines are minutes, a sequencer's leeway seconds
        if (block.timestamp > deadline) {
            revert KeyProofExpired(deadline, block.timestamp);
        }
        bytes32 digest = _hashTypedDataV4(structHash);
        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecoverCalldata(digest, signature);
        bool signed = failure == ECDSA.RecoverError.NoError && signer == key;
        if (!signed && !SignatureChecker.isValidERC1271SignatureNowCalldata(key, digest, signature)) {
            revert InvalidKeyProof(key, nonce);
        }
    }

    function _checkOwner(uint256 nodeId) private view returns (address owner) {
        owner = _requireOwned(nodeId);
        _checkAuthorized(owner, msg.sender, nodeId);
    }

    function _checkLength(string memory field, uint256 length, uint256 limit) private pure {
        if (length > limit) {
            revert TooLong(field, length, limit);
        }
    }

    function _isKeyMetadata(string calldata metadataKey) private pure returns (bool) {
        return keccak256(bytes(metadataKey)) == keccak256(bytes(KEY_METADATA));
    }

    function _keyMetadata(address key) private pure returns (bytes memory) {
        return key == address(0) ? bytes("") : abi.encodePacked(key);
    }
}
