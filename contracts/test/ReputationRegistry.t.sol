// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ReputationRegistry} from "../src/ReputationRegistry.sol";
import {IReputationRegistry} from "../src/interfaces/IReputationRegistry.sol";
import {Fixture} from "./harness/Fixture.sol";
import {VM} from "./harness/Vm.sol";
import {IERC721Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

contract ReputationRegistryTest is Fixture {
    address private constant ALICE = address(0xA1);
    address private constant BOB = address(0xB0);
    bytes32 private constant HASH = keccak256("file");

    uint256 private nodeId;

    function setUp() public override {
        super.setUp();
        nodeId = _register(KEY);
    }

    function testFuzz_giveFeedback(int128 value, uint8 decimals) public {
        decimals = decimals % 19;
        VM.assume(value <= 1e20 && value >= -1e20);
        VM.expectEmit(address(reputation));
        emit IReputationRegistry.NewFeedback(
            nodeId, ALICE, 1, value, decimals, "reward", "reward", "gcd", "https://node", "ipfs://feedback", HASH
        );
        VM.prank(ALICE);
        reputation.giveFeedback(nodeId, value, decimals, "reward", "gcd", "https://node", "ipfs://feedback", HASH);
        (int128 read, uint8 readDecimals, string memory tag1, string memory tag2, bool revoked) =
            reputation.readFeedback(nodeId, ALICE, 1);
        VM.assertTrue(read == value && readDecimals == decimals && !revoked);
        VM.assertEq(tag1, "reward");
        VM.assertEq(tag2, "gcd");
        VM.assertEq(reputation.getLastIndex(nodeId, ALICE), 1);
        VM.assertEq(reputation.getClients(nodeId).length, 1);
        VM.assertEq(reputation.getIdentityRegistry(), address(nodes));
    }

    function test_giveFeedback_onAnUnknownNodeReverts() public {
        VM.expectRevert(abi.encodeWithSelector(IERC721Errors.ERC721NonexistentToken.selector, 7));
        _give(ALICE, 7, 1, 0, "", "");
    }

    function test_giveFeedback_byWhoControlsTheNodeReverts() public {
        address key = VM.addr(KEY);
        VM.prank(key);
        nodes.setApprovalForAll(BOB, true);
        VM.expectRevert(abi.encodeWithSelector(ReputationRegistry.SelfFeedback.selector, nodeId, key));
        _give(key, nodeId, 1, 0, "", "");
        VM.expectRevert(abi.encodeWithSelector(ReputationRegistry.SelfFeedback.selector, nodeId, BOB));
        _give(BOB, nodeId, 1, 0, "", "");
    }

    function test_giveFeedback_ofWildValuesReverts() public {
        _expectInvalid(1, 19);
        _expectInvalid(1e20 + 1, 0);
        _expectInvalid(-1e20 - 1, 0);
        _expectInvalid(1e38 + 1, 18);
        _give(ALICE, nodeId, 1e38, 18, "", "");
        _give(ALICE, nodeId, -1e20, 0, "", "");
    }

    function test_giveFeedback_ofLongStringsReverts() public {
        string memory tag = string(new bytes(65));
        string memory uri = string(new bytes(2049));
        _expectTooLong("tag1", 65, 64);
        reputation.giveFeedback(nodeId, 1, 0, tag, "", "", "", 0);
        _expectTooLong("tag2", 65, 64);
        reputation.giveFeedback(nodeId, 1, 0, "", tag, "", "", 0);
        _expectTooLong("endpoint", 2049, 2048);
        reputation.giveFeedback(nodeId, 1, 0, "", "", uri, "", 0);
        _expectTooLong("feedbackURI", 2049, 2048);
        reputation.giveFeedback(nodeId, 1, 0, "", "", "", uri, 0);
        _give(ALICE, nodeId, 1, 0, "", "");
        _expectTooLong("responseURI", 2049, 2048);
        reputation.appendResponse(nodeId, ALICE, 1, uri, 0);
        reputation.giveFeedback(
            nodeId,
            1,
            0,
            string(new bytes(64)),
            string(new bytes(64)),
            string(new bytes(2048)),
            string(new bytes(2048)),
            0
        );
    }

    function test_revokeFeedback() public {
        _give(ALICE, nodeId, 1, 0, "", "");
        _give(ALICE, nodeId, 2, 0, "", "");
        VM.expectEmit(address(reputation));
        emit IReputationRegistry.FeedbackRevoked(nodeId, ALICE, 2);
        VM.prank(ALICE);
        reputation.revokeFeedback(nodeId, 2);
        (,,,, bool revoked) = reputation.readFeedback(nodeId, ALICE, 2);
        VM.assertTrue(revoked);
        VM.prank(ALICE);
        VM.expectRevert(abi.encodeWithSelector(ReputationRegistry.FeedbackAlreadyRevoked.selector, nodeId, ALICE, 2));
        reputation.revokeFeedback(nodeId, 2);
    }

    function test_feedbackThatIsNotThereReverts() public {
        _give(ALICE, nodeId, 1, 0, "", "");
        for (uint64 i = 0; i < 2; ++i) {
            uint64 index = 2 * i;
            VM.expectRevert(abi.encodeWithSelector(ReputationRegistry.FeedbackNotFound.selector, nodeId, ALICE, index));
            reputation.readFeedback(nodeId, ALICE, index);
        }
        VM.expectRevert(abi.encodeWithSelector(ReputationRegistry.FeedbackNotFound.selector, nodeId, BOB, 1));
        VM.prank(BOB);
        reputation.revokeFeedback(nodeId, 1);
        VM.expectRevert(abi.encodeWithSelector(ReputationRegistry.FeedbackNotFound.selector, nodeId, BOB, 1));
        reputation.appendResponse(nodeId, BOB, 1, "", 0);
        VM.expectRevert(abi.encodeWithSelector(ReputationRegistry.FeedbackNotFound.selector, nodeId, BOB, 1));
        reputation.getResponseCount(nodeId, BOB, 1, new address[](0));
    }

    function test_responses() public {
        _give(ALICE, nodeId, 1, 0, "", "");
        VM.expectEmit(address(reputation));
        emit IReputationRegistry.ResponseAppended(nodeId, ALICE, 1, BOB, "ipfs://answer", HASH);
        VM.prank(BOB);
        reputation.appendResponse(nodeId, ALICE, 1, "ipfs://answer", HASH);
        reputation.appendResponse(nodeId, ALICE, 1, "", 0);
        reputation.appendResponse(nodeId, ALICE, 1, "", 0);
        VM.assertEq(reputation.getResponseCount(nodeId, ALICE, 1, new address[](0)), 3);
        VM.assertEq(reputation.getResponseCount(nodeId, ALICE, 1, _both(BOB, ALICE)), 1);
        VM.assertEq(reputation.getResponseCount(nodeId, ALICE, 1, _both(BOB, address(this))), 3);
    }

    function test_summary_isTheMeanOfNamedClients() public {
        _give(ALICE, nodeId, 3, 0, "reward", "gcd");
        _give(ALICE, nodeId, 25, 1, "reward", "sort");
        _give(BOB, nodeId, -1, 0, "reward", "gcd");
        _give(address(0xBAD), nodeId, 1e20, 0, "reward", "gcd");
        VM.prank(BOB);
        reputation.revokeFeedback(nodeId, 1);
        _expectSummary(_both(ALICE, BOB), "", "", 2, 2.75e18);
        _expectSummary(_both(ALICE, BOB), "reward", "gcd", 1, 3e18);
        _expectSummary(_both(ALICE, BOB), "", "sort", 1, 2.5e18);
        _expectSummary(_both(ALICE, BOB), "latency", "", 0, 0);
        VM.expectRevert(abi.encodeWithSelector(ReputationRegistry.NoClients.selector));
        reputation.getSummary(nodeId, new address[](0), "", "");
    }

    function test_readAllFeedback() public {
        _give(ALICE, nodeId, 3, 0, "reward", "gcd");
        _give(ALICE, nodeId, 25, 1, "reward", "sort");
        _give(BOB, nodeId, -1, 0, "latency", "");
        VM.prank(ALICE);
        reputation.revokeFeedback(nodeId, 1);
        (
            address[] memory clients,
            uint64[] memory indices,
            int128[] memory values,
            uint8[] memory decimals,
            string[] memory tag1s,
            string[] memory tag2s,
            bool[] memory revoked
        ) = reputation.readAllFeedback(nodeId, new address[](0), "", "", true);
        VM.assertEq(clients.length, 3);
        VM.assertTrue(clients[0] == ALICE && clients[1] == ALICE && clients[2] == BOB);
        VM.assertTrue(indices[0] == 1 && indices[1] == 2 && indices[2] == 1);
        VM.assertTrue(values[0] == 3 && values[1] == 25 && values[2] == -1);
        VM.assertTrue(decimals[0] == 0 && decimals[1] == 1);
        VM.assertEq(tag1s[2], "latency");
        VM.assertEq(tag2s[1], "sort");
        VM.assertTrue(revoked[0] && !revoked[1] && !revoked[2]);
        (clients,,,,,,) = reputation.readAllFeedback(nodeId, _both(ALICE, BOB), "reward", "", false);
        VM.assertEq(clients.length, 1);
    }

    function _give(
        address client,
        uint256 agentId,
        int128 value,
        uint8 decimals,
        string memory tag1,
        string memory tag2
    ) private {
        VM.prank(client);
        reputation.giveFeedback(agentId, value, decimals, tag1, tag2, "", "", 0);
    }

    function _expectInvalid(int128 value, uint8 decimals) private {
        VM.expectRevert(abi.encodeWithSelector(ReputationRegistry.InvalidValue.selector, value, decimals));
        _give(ALICE, nodeId, value, decimals, "", "");
    }

    function _expectTooLong(string memory field, uint256 length, uint256 limit) private {
        VM.expectRevert(abi.encodeWithSelector(ReputationRegistry.TooLong.selector, field, length, limit));
    }

    function _expectSummary(
        address[] memory clients,
        string memory tag1,
        string memory tag2,
        uint64 count,
        int128 value
    ) private view {
        (uint64 found, int128 mean, uint8 decimals) = reputation.getSummary(nodeId, clients, tag1, tag2);
        VM.assertEq(found, count);
        VM.assertTrue(mean == value, "another mean");
        VM.assertEq(decimals, 18);
    }

    function _both(address first, address second) private pure returns (address[] memory accounts) {
        accounts = new address[](2);
        (accounts[0], accounts[1]) = (first, second);
    }
}
