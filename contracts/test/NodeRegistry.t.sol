// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {NodeRegistry} from "../src/NodeRegistry.sol";
import {IIdentityRegistry} from "../src/interfaces/IIdentityRegistry.sol";
import {SmartAccount, Wallet} from "./harness/Accounts.sol";
import {Fixture} from "./harness/Fixture.sol";
import {VM} from "./harness/Vm.sol";
import {IERC721Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";

contract NodeRegistryTest is Fixture {
    address private constant OWNER = address(0x0113);
    uint256 private constant DEADLINE = 1_800_000_600;

    function test_register_makesSenderKeyAndOwner() public {
        address key = VM.addr(KEY);
        VM.expectEmit(address(nodes));
        emit IIdentityRegistry.Registered(uint160(key), "", key);
        VM.expectEmit(address(nodes));
        emit NodeRegistry.KeyChanged(uint160(key), address(0), key);
        VM.expectEmit(address(nodes));
        emit IIdentityRegistry.MetadataSet(uint160(key), "agentWallet", "agentWallet", abi.encodePacked(key));
        uint256 nodeId = _register(KEY);
        VM.assertEq(nodeId, uint160(key));
        VM.assertEq(nodes.keyOf(nodeId), key);
        VM.assertEq(nodes.nodeOf(key), nodeId);
        VM.assertEq(nodes.ownerOf(nodeId), key);
        VM.assertEq(nodes.getAgentWallet(nodeId), key);
        VM.assertEq(nodes.getMetadata(nodeId, "agentWallet"), abi.encodePacked(key));
        VM.assertEq(nodes.tokenURI(nodeId), "");
    }

    /// @dev Who follows the events sees a key that came, and none that went.
    function test_register_emitsNothingElse() public {
        VM.recordLogs();
        _register(KEY);
        VM.assertEq(VM.getRecordedLogs().length, 4, "Transfer, Registered, KeyChanged, MetadataSet");
    }

    function test_register_withUriAndMetadata() public {
        IIdentityRegistry.MetadataEntry[] memory metadata = new IIdentityRegistry.MetadataEntry[](1);
        metadata[0] = IIdentityRegistry.MetadataEntry("agentName", "node-1");
        VM.prank(VM.addr(KEY));
        uint256 nodeId = nodes.register("ipfs://node", metadata);
        VM.assertEq(nodes.tokenURI(nodeId), "ipfs://node");
        VM.assertEq(nodes.getMetadata(nodeId, "agentName"), "node-1");
        VM.prank(VM.addr(OTHER_KEY));
        VM.assertEq(nodes.tokenURI(nodes.register("ipfs://other")), "ipfs://other");
    }

    function test_register_twiceReverts() public {
        uint256 nodeId = _register(KEY);
        VM.prank(VM.addr(KEY));
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.KeyAlreadyUsed.selector, VM.addr(KEY), nodeId));
        nodes.register();
    }

    function test_register_longUriReverts() public {
        string memory uri = string(new bytes(2049));
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.TooLong.selector, "uri", 2049, 2048));
        nodes.register(uri);
    }

    function testFuzz_registerKey_provesTheKey(uint256 seed, address owner, address relayer) public {
        VM.assume(owner != address(0) && relayer != address(VM));
        uint256 privateKey = _privateKey(seed);
        address key = VM.addr(privateKey);
        bytes memory signature = _signRegistration(privateKey, owner, 0, DEADLINE);
        VM.prank(relayer);
        uint256 nodeId = nodes.registerKey(key, owner, "ipfs://node", DEADLINE, signature);
        VM.assertEq(nodeId, uint160(key));
        VM.assertEq(nodes.keyOf(nodeId), key);
        VM.assertEq(nodes.ownerOf(nodeId), owner);
        VM.assertEq(nodes.nonces(key), 1);
    }

    function test_registerKey_anOwnerMayHaveManyNodes() public {
        uint256[2] memory keys = [KEY, OTHER_KEY];
        for (uint256 i = 0; i < keys.length; ++i) {
            bytes memory signature = _signRegistration(keys[i], OWNER, 0, DEADLINE);
            nodes.registerKey(VM.addr(keys[i]), OWNER, "", DEADLINE, signature);
            VM.assertEq(nodes.balanceOf(OWNER), i + 1);
        }
        for (uint256 i = 0; i < keys.length; ++i) {
            uint256 nodeId = uint160(VM.addr(keys[i]));
            VM.assertEq(nodes.keyOf(nodeId), VM.addr(keys[i]));
            VM.assertTrue(nodes.controls(OWNER, nodeId));
        }
    }

    function testFuzz_registerKey_forgedReverts(uint256 seed, uint256 forger) public {
        address key = VM.addr(_privateKey(seed));
        VM.assume(VM.addr(_privateKey(forger)) != key);
        bytes32 structHash = keccak256(abi.encode(nodes.REGISTRATION_TYPEHASH(), key, OWNER, 0, DEADLINE));
        bytes memory signature = _sign(_privateKey(forger), structHash);
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.InvalidKeyProof.selector, key, 0));
        nodes.registerKey(key, OWNER, "", DEADLINE, signature);
    }

    function test_registerKey_forAnotherOwnerReverts() public {
        bytes memory signature = _signRegistration(KEY, OWNER, 0, DEADLINE);
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.InvalidKeyProof.selector, VM.addr(KEY), 0));
        nodes.registerKey(VM.addr(KEY), address(this), "", DEADLINE, signature);
    }

    function test_registerKey_onAnotherRegistryReverts() public {
        bytes memory signature = _signRegistration(KEY, OWNER, 0, DEADLINE);
        NodeRegistry other = new NodeRegistry();
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.InvalidKeyProof.selector, VM.addr(KEY), 0));
        other.registerKey(VM.addr(KEY), OWNER, "", DEADLINE, signature);
    }

    function test_registerKey_expiredReverts() public {
        bytes memory signature = _signRegistration(KEY, OWNER, 0, DEADLINE);
        VM.warp(DEADLINE + 1);
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.KeyProofExpired.selector, DEADLINE, DEADLINE + 1));
        nodes.registerKey(VM.addr(KEY), OWNER, "", DEADLINE, signature);
    }

    function test_registerKey_countsAtItsDeadline() public {
        bytes memory signature = _signRegistration(KEY, OWNER, 0, DEADLINE);
        VM.warp(DEADLINE);
        nodes.registerKey(VM.addr(KEY), OWNER, "", DEADLINE, signature);
    }

    function test_registerKey_replayedReverts() public {
        address key = VM.addr(KEY);
        bytes memory signature = _signRegistration(KEY, OWNER, 0, DEADLINE);
        nodes.registerKey(key, OWNER, "", DEADLINE, signature);
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.InvalidKeyProof.selector, key, 1));
        nodes.registerKey(key, OWNER, "", DEADLINE, signature);
        signature = _signRegistration(KEY, OWNER, 1, DEADLINE);
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.KeyAlreadyUsed.selector, key, uint160(key)));
        nodes.registerKey(key, OWNER, "", DEADLINE, signature);
    }

    function test_registerKey_forNobodyReverts() public {
        bytes memory signature = _signRegistration(KEY, address(0), 0, DEADLINE);
        VM.expectRevert(abi.encodeWithSelector(IERC721Errors.ERC721InvalidReceiver.selector, address(0)));
        nodes.registerKey(VM.addr(KEY), address(0), "", DEADLINE, signature);
    }

    function test_registerKey_ofNobodyReverts() public {
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.InvalidKeyProof.selector, address(0), 0));
        nodes.registerKey(address(0), OWNER, "", DEADLINE, new bytes(65));
    }

    function test_registerKey_smartAccount() public {
        address account = address(new SmartAccount(VM.addr(KEY)));
        bytes32 structHash = keccak256(abi.encode(nodes.REGISTRATION_TYPEHASH(), account, OWNER, 0, DEADLINE));
        uint256 nodeId = nodes.registerKey(account, OWNER, "", DEADLINE, _sign(KEY, structHash));
        VM.assertEq(nodes.keyOf(nodeId), account);
    }

    function test_registerKey_smartAccountForgedReverts() public {
        address account = address(new SmartAccount(VM.addr(KEY)));
        bytes32 structHash = keccak256(abi.encode(nodes.REGISTRATION_TYPEHASH(), account, OWNER, 0, DEADLINE));
        bytes memory signature = _sign(OTHER_KEY, structHash);
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.InvalidKeyProof.selector, account, 0));
        nodes.registerKey(account, OWNER, "", DEADLINE, signature);
    }

    function test_registerKey_delegatedAccountSignsByItself() public {
        address account = _delegated(KEY, address(new Wallet()));
        nodes.registerKey(account, OWNER, "", DEADLINE, _signRegistration(KEY, OWNER, 0, DEADLINE));
        VM.assertEq(nodes.keyOf(uint160(account)), account);
    }

    /// @dev What the account's code takes for its signature is one, too: a session key's, say.
    function test_registerKey_delegatedAccountSignsByItsCode() public {
        address account = _delegated(KEY, address(new SmartAccount(VM.addr(OTHER_KEY))));
        bytes32 structHash = keccak256(abi.encode(nodes.REGISTRATION_TYPEHASH(), account, OWNER, 0, DEADLINE));
        nodes.registerKey(account, OWNER, "", DEADLINE, _sign(OTHER_KEY, structHash));
        VM.assertEq(nodes.keyOf(uint160(account)), account);
    }

    function test_registerKey_delegatedAccountForgedReverts() public {
        address account = _delegated(KEY, address(new Wallet()));
        bytes32 structHash = keccak256(abi.encode(nodes.REGISTRATION_TYPEHASH(), account, OWNER, 0, DEADLINE));
        bytes memory signature = _sign(OTHER_KEY, structHash);
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.InvalidKeyProof.selector, account, 0));
        nodes.registerKey(account, OWNER, "", DEADLINE, signature);
    }

    function test_registerKey_onAnotherChainReverts() public {
        bytes memory signature = _signRegistration(KEY, OWNER, 0, DEADLINE);
        VM.chainId(block.chainid + 1);
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.InvalidKeyProof.selector, VM.addr(KEY), 0));
        nodes.registerKey(VM.addr(KEY), OWNER, "", DEADLINE, signature);
    }

    function test_rotation_toASmartAccount() public {
        address account = address(new SmartAccount(VM.addr(OTHER_KEY)));
        _rotateTo(account, OTHER_KEY);
    }

    function test_rotation_toADelegatedAccount() public {
        _rotateTo(_delegated(OTHER_KEY, address(new Wallet())), OTHER_KEY);
    }

    function test_rotation_toASmartAccountForgedReverts() public {
        uint256 nodeId = _register(KEY);
        address account = address(new SmartAccount(VM.addr(OTHER_KEY)));
        bytes32 structHash =
            keccak256(abi.encode(nodes.ROTATION_TYPEHASH(), nodeId, account, VM.addr(KEY), 0, DEADLINE));
        bytes memory signature = _sign(KEY, structHash);
        VM.prank(VM.addr(KEY));
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.InvalidKeyProof.selector, account, 0));
        nodes.setAgentWallet(nodeId, account, DEADLINE, signature);
    }

    function testFuzz_rotation_retiresTheOldKey(uint256 seed) public {
        uint256 nodeId = _register(KEY);
        uint256 successor = _privateKey(seed);
        VM.assume(successor != KEY);
        _rotate(nodeId, successor);
        VM.assertEq(nodes.keyOf(nodeId), VM.addr(successor));
        VM.assertEq(nodes.nodeOf(VM.addr(successor)), nodeId);
        VM.assertEq(nodes.nodeOf(VM.addr(KEY)), 0);
        VM.prank(VM.addr(successor));
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.KeyAlreadyUsed.selector, VM.addr(successor), nodeId));
        nodes.register();
    }

    function test_rotation_aRetiredKeyMayComeBackToItsNode() public {
        uint256 nodeId = _register(KEY);
        _rotate(nodeId, OTHER_KEY);
        _rotate(nodeId, KEY);
        VM.assertEq(nodes.keyOf(nodeId), VM.addr(KEY));
        VM.assertEq(nodes.nodeOf(VM.addr(OTHER_KEY)), 0);
    }

    function test_rotation_byAnOperator() public {
        uint256 nodeId = _register(KEY);
        address owner = VM.addr(KEY);
        VM.prank(owner);
        nodes.setApprovalForAll(OWNER, true);
        bytes memory signature = _signRotation(OTHER_KEY, nodeId, owner, 0, DEADLINE);
        VM.prank(OWNER);
        nodes.setAgentWallet(nodeId, VM.addr(OTHER_KEY), DEADLINE, signature);
        VM.assertEq(nodes.keyOf(nodeId), VM.addr(OTHER_KEY));
    }

    function test_rotation_byAStrangerReverts() public {
        uint256 nodeId = _register(KEY);
        bytes memory signature = _signRotation(OTHER_KEY, nodeId, VM.addr(KEY), 0, DEADLINE);
        VM.expectRevert(
            abi.encodeWithSelector(IERC721Errors.ERC721InsufficientApproval.selector, address(this), nodeId)
        );
        nodes.setAgentWallet(nodeId, VM.addr(OTHER_KEY), DEADLINE, signature);
    }

    function test_rotation_ofNoNodeReverts() public {
        VM.expectRevert(abi.encodeWithSelector(IERC721Errors.ERC721NonexistentToken.selector, 7));
        nodes.setAgentWallet(7, VM.addr(KEY), DEADLINE, "");
    }

    function test_rotation_toTheCurrentKeyReverts() public {
        uint256 nodeId = _register(KEY);
        VM.prank(VM.addr(KEY));
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.KeyAlreadyUsed.selector, VM.addr(KEY), nodeId));
        nodes.setAgentWallet(nodeId, VM.addr(KEY), DEADLINE, "");
    }

    function test_rotation_toAnotherNodesKeyReverts() public {
        uint256 nodeId = _register(KEY);
        uint256 other = _register(OTHER_KEY);
        bytes memory signature = _signRotation(OTHER_KEY, nodeId, VM.addr(KEY), 0, DEADLINE);
        VM.prank(VM.addr(KEY));
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.KeyAlreadyUsed.selector, VM.addr(OTHER_KEY), other));
        nodes.setAgentWallet(nodeId, VM.addr(OTHER_KEY), DEADLINE, signature);
    }

    function test_rotation_withoutConsentReverts() public {
        uint256 nodeId = _register(KEY);
        bytes32 structHash =
            keccak256(abi.encode(nodes.ROTATION_TYPEHASH(), nodeId, VM.addr(OTHER_KEY), VM.addr(KEY), 0, DEADLINE));
        bytes memory signature = _sign(KEY, structHash);
        VM.prank(VM.addr(KEY));
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.InvalidKeyProof.selector, VM.addr(OTHER_KEY), 0));
        nodes.setAgentWallet(nodeId, VM.addr(OTHER_KEY), DEADLINE, signature);
    }

    function test_rotation_expiredReverts() public {
        uint256 nodeId = _register(KEY);
        bytes memory signature = _signRotation(OTHER_KEY, nodeId, VM.addr(KEY), 0, DEADLINE);
        VM.warp(DEADLINE + 1);
        VM.prank(VM.addr(KEY));
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.KeyProofExpired.selector, DEADLINE, DEADLINE + 1));
        nodes.setAgentWallet(nodeId, VM.addr(OTHER_KEY), DEADLINE, signature);
    }

    function test_rotation_replayedReverts() public {
        uint256 nodeId = _register(KEY);
        bytes memory signature = _signRotation(OTHER_KEY, nodeId, VM.addr(KEY), 0, DEADLINE);
        _rotate(nodeId, OTHER_KEY);
        _rotate(nodeId, KEY);
        VM.prank(VM.addr(KEY));
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.InvalidKeyProof.selector, VM.addr(OTHER_KEY), 1));
        nodes.setAgentWallet(nodeId, VM.addr(OTHER_KEY), DEADLINE, signature);
    }

    function test_unsetKey_leavesTheNodeWithout() public {
        uint256 nodeId = _register(KEY);
        VM.prank(VM.addr(KEY));
        nodes.unsetAgentWallet(nodeId);
        VM.assertEq(nodes.keyOf(nodeId), address(0));
        VM.assertEq(nodes.nodeOf(VM.addr(KEY)), 0);
        VM.assertEq(nodes.getMetadata(nodeId, "agentWallet"), "");
    }

    function test_unsetKey_byAStrangerReverts() public {
        uint256 nodeId = _register(KEY);
        VM.expectRevert(
            abi.encodeWithSelector(IERC721Errors.ERC721InsufficientApproval.selector, address(this), nodeId)
        );
        nodes.unsetAgentWallet(nodeId);
    }

    function test_transfer_takesTheKeyAway() public {
        uint256 nodeId = _register(KEY);
        VM.prank(VM.addr(KEY));
        nodes.transferFrom(VM.addr(KEY), OWNER, nodeId);
        VM.assertEq(nodes.keyOf(nodeId), address(0));
        VM.assertFalse(nodes.controls(VM.addr(KEY), nodeId));
        VM.assertTrue(nodes.controls(OWNER, nodeId));
    }

    function test_transfer_toItselfKeepsTheKey() public {
        uint256 nodeId = _register(KEY);
        VM.prank(VM.addr(KEY));
        nodes.transferFrom(VM.addr(KEY), VM.addr(KEY), nodeId);
        VM.assertEq(nodes.keyOf(nodeId), VM.addr(KEY));
    }

    function test_transfer_proofForTheFormerOwnerReverts() public {
        uint256 nodeId = _register(KEY);
        bytes memory signature = _signRotation(OTHER_KEY, nodeId, VM.addr(KEY), 0, DEADLINE);
        VM.prank(VM.addr(KEY));
        nodes.transferFrom(VM.addr(KEY), OWNER, nodeId);
        VM.prank(OWNER);
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.InvalidKeyProof.selector, VM.addr(OTHER_KEY), 0));
        nodes.setAgentWallet(nodeId, VM.addr(OTHER_KEY), DEADLINE, signature);
    }

    function test_controls_nobodyAndUnknown() public {
        uint256 nodeId = _register(KEY);
        VM.assertFalse(nodes.controls(address(0), nodeId));
        VM.assertFalse(nodes.controls(address(0), 7));
        VM.assertFalse(nodes.controls(OWNER, 7));
        VM.assertEq(nodes.nodeOf(address(0)), 0);
    }

    function test_getAgentWallet_ofNoNodeReverts() public {
        VM.expectRevert(abi.encodeWithSelector(IERC721Errors.ERC721NonexistentToken.selector, 7));
        nodes.getAgentWallet(7);
    }

    function test_setAgentURI() public {
        uint256 nodeId = _register(KEY);
        VM.prank(VM.addr(KEY));
        VM.expectEmit(address(nodes));
        emit IIdentityRegistry.URIUpdated(nodeId, "ipfs://new", VM.addr(KEY));
        nodes.setAgentURI(nodeId, "ipfs://new");
        VM.assertEq(nodes.tokenURI(nodeId), "ipfs://new");
    }

    function test_setAgentURI_byAStrangerReverts() public {
        uint256 nodeId = _register(KEY);
        VM.expectRevert(
            abi.encodeWithSelector(IERC721Errors.ERC721InsufficientApproval.selector, address(this), nodeId)
        );
        nodes.setAgentURI(nodeId, "ipfs://new");
    }

    function test_setAgentURI_longReverts() public {
        uint256 nodeId = _register(KEY);
        VM.prank(VM.addr(KEY));
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.TooLong.selector, "uri", 2049, 2048));
        nodes.setAgentURI(nodeId, string(new bytes(2049)));
    }

    function test_setMetadata_emits() public {
        uint256 nodeId = _register(KEY);
        VM.expectEmit(address(nodes));
        emit IIdentityRegistry.MetadataSet(nodeId, "agentName", "agentName", "node-1");
        VM.prank(VM.addr(KEY));
        nodes.setMetadata(nodeId, "agentName", "node-1");
        VM.assertEq(nodes.getMetadata(nodeId, "agentName"), "node-1");
    }

    function test_fields_ofTheLongestLength() public {
        uint256 nodeId = _register(KEY);
        string memory uri = string(new bytes(2048));
        string memory metadataKey = string(new bytes(64));
        VM.prank(VM.addr(KEY));
        nodes.setAgentURI(nodeId, uri);
        VM.assertEq(bytes(nodes.tokenURI(nodeId)).length, 2048);
        VM.prank(VM.addr(KEY));
        nodes.setMetadata(nodeId, metadataKey, new bytes(1024));
        VM.assertEq(nodes.getMetadata(nodeId, metadataKey).length, 1024);
        VM.prank(VM.addr(OTHER_KEY));
        VM.assertEq(bytes(nodes.tokenURI(nodes.register(uri))).length, 2048);
    }

    function test_setMetadata_byAStrangerReverts() public {
        uint256 nodeId = _register(KEY);
        VM.expectRevert(
            abi.encodeWithSelector(IERC721Errors.ERC721InsufficientApproval.selector, address(this), nodeId)
        );
        nodes.setMetadata(nodeId, "agentName", "node");
    }

    function test_setMetadata_ofTheKeyReverts() public {
        uint256 nodeId = _register(KEY);
        VM.prank(VM.addr(KEY));
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.ReservedMetadataKey.selector, "agentWallet"));
        nodes.setMetadata(nodeId, "agentWallet", "0x");
    }

    function test_setMetadata_longReverts() public {
        uint256 nodeId = _register(KEY);
        VM.prank(VM.addr(KEY));
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.TooLong.selector, "metadataKey", 65, 64));
        nodes.setMetadata(nodeId, string(new bytes(65)), "");
        VM.prank(VM.addr(KEY));
        VM.expectRevert(abi.encodeWithSelector(NodeRegistry.TooLong.selector, "metadataValue", 1025, 1024));
        nodes.setMetadata(nodeId, "agentName", new bytes(1025));
    }

    function test_supportsInterface() public view {
        VM.assertTrue(nodes.supportsInterface(type(IIdentityRegistry).interfaceId));
        VM.assertTrue(nodes.supportsInterface(type(IERC721).interfaceId));
        VM.assertFalse(nodes.supportsInterface(0xffffffff));
    }

    function _rotate(uint256 nodeId, uint256 privateKey) private {
        address owner = nodes.ownerOf(nodeId);
        address key = VM.addr(privateKey);
        uint256 nonce = nodes.nonces(key);
        bytes memory signature = _signRotation(privateKey, nodeId, owner, nonce, DEADLINE);
        VM.prank(owner);
        nodes.setAgentWallet(nodeId, key, DEADLINE, signature);
    }

    /// @dev A Node of KEY's rotates to `account`, whose signatures are those of `privateKey`.
    function _rotateTo(address account, uint256 privateKey) private {
        uint256 nodeId = _register(KEY);
        bytes32 structHash =
            keccak256(abi.encode(nodes.ROTATION_TYPEHASH(), nodeId, account, VM.addr(KEY), 0, DEADLINE));
        bytes memory signature = _sign(privateKey, structHash);
        VM.prank(VM.addr(KEY));
        nodes.setAgentWallet(nodeId, account, DEADLINE, signature);
        VM.assertEq(nodes.keyOf(nodeId), account);
        VM.assertEq(nodes.nodeOf(VM.addr(KEY)), 0);
    }

    /// @dev An account that set this code as its own by EIP-7702, which Prague's EVM follows.
    function _delegated(uint256 privateKey, address implementation) private returns (address account) {
        VM.setEvmVersion("prague");
        account = VM.addr(privateKey);
        VM.etch(account, abi.encodePacked(hex"ef0100", implementation));
    }

    /// @dev A private key of secp256k1 for any seed.
    function _privateKey(uint256 seed) private pure returns (uint256) {
        return seed % (type(uint128).max) + 1;
    }
}
