// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {RoundResolver} from "../../src/RoundResolver.sol";
import {SwarmRegistry} from "../../src/SwarmRegistry.sol";
import {VM} from "../harness/Vm.sol";
import {
    AttestationRequest,
    AttestationRequestData,
    IEAS
} from "@ethereum-attestation-service/eas-contracts/contracts/IEAS.sol";

/// @notice Nodes, owners and strangers who do whatever comes to their mind, right or wrong, in any order. Beside the
/// contracts runs a plain model that says what must be taken and what refused; a step on which they differ fails.
contract Participants {
    uint256 public constant NODES = 4;
    uint256 public constant KEYS = 8;
    uint256 public constant SWARMS = 2;

    NodeRegistry private immutable REGISTRY;
    SwarmRegistry private immutable SWARM_REGISTRY;
    RoundResolver private immutable RESOLVER;
    IEAS private immutable EAS;

    /// @dev The keys' addresses: to derive them at each step would take most of a campaign's time.
    address[KEYS] private _addresses;

    /// @notice Which of the keys each Node has; KEYS stands for none.
    mapping(uint256 node => uint256 key) public keyIndex;
    /// @notice The Node that a key ever served, plus one.
    mapping(uint256 key => uint256 nodePlusOne) public served;
    mapping(uint256 swarm => mapping(uint256 node => SwarmRegistry.Standing)) public standing;
    /// @notice How often each round was attested.
    mapping(uint256 swarm => mapping(uint256 node => mapping(uint64 round => uint256))) public times;
    /// @notice The highest round ever attested.
    mapping(uint256 swarm => mapping(uint256 node => uint64)) public highest;

    constructor(NodeRegistry registry, SwarmRegistry swarmRegistry, RoundResolver resolver, IEAS eas) {
        REGISTRY = registry;
        SWARM_REGISTRY = swarmRegistry;
        RESOLVER = resolver;
        EAS = eas;
        for (uint256 key = 0; key < KEYS; ++key) {
            _addresses[key] = VM.addr(key + 1);
        }
        for (uint256 node = 0; node < NODES; ++node) {
            VM.prank(keyAddress(node));
            registry.register();
            keyIndex[node] = node;
            served[node] = node + 1;
        }
        for (uint256 swarm = 0; swarm < SWARMS; ++swarm) {
            VM.prank(swarmOwner(swarm));
            swarmRegistry.createSwarm(0, 0, policy(swarm), "");
        }
    }

    function join(uint256 swarm, uint256 node, uint256 sender) external {
        (swarm, node, sender) = _bound(swarm, node, sender);
        SwarmRegistry.Standing now_ = standing[swarm][node];
        bool open = policy(swarm) == SwarmRegistry.Policy.Open;
        bool welcome = now_ == SwarmRegistry.Standing.Invited
            || (open && (now_ == SwarmRegistry.Standing.None || now_ == SwarmRegistry.Standing.Left));
        VM.prank(keyAddress(sender));
        try SWARM_REGISTRY.join(swarmId(swarm), nodeId(node)) {
            VM.assertTrue(welcome && _controls(sender, node), "joined against the rules");
            standing[swarm][node] = SwarmRegistry.Standing.Member;
        } catch {
            VM.assertFalse(welcome && _controls(sender, node));
        }
    }

    function quit(uint256 swarm, uint256 node, uint256 sender) external {
        (swarm, node, sender) = _bound(swarm, node, sender);
        bool allowed = standing[swarm][node] == SwarmRegistry.Standing.Member && _controls(sender, node);
        VM.prank(keyAddress(sender));
        try SWARM_REGISTRY.quit(swarmId(swarm), nodeId(node)) {
            VM.assertTrue(allowed, "left against the rules");
            standing[swarm][node] = SwarmRegistry.Standing.Left;
        } catch {
            VM.assertFalse(allowed);
        }
    }

    function eject(uint256 swarm, uint256 node, uint256 sender) external {
        (swarm, node,) = _bound(swarm, node, 0);
        SwarmRegistry.Standing now_ = standing[swarm][node];
        bool allowed =
            sender % 4 != 0 && (now_ == SwarmRegistry.Standing.Member || now_ == SwarmRegistry.Standing.Invited);
        VM.prank(sender % 4 == 0 ? keyAddress(node) : swarmOwner(swarm));
        try SWARM_REGISTRY.eject(swarmId(swarm), nodeId(node), "") {
            VM.assertTrue(allowed, "ejected against the rules");
            standing[swarm][node] = SwarmRegistry.Standing.Ejected;
        } catch {
            VM.assertFalse(allowed);
        }
    }

    function invite(uint256 swarm, uint256 node, uint256 sender) external {
        (swarm, node,) = _bound(swarm, node, 0);
        SwarmRegistry.Standing now_ = standing[swarm][node];
        bool allowed =
            sender % 4 != 0 && now_ != SwarmRegistry.Standing.Member && now_ != SwarmRegistry.Standing.Invited;
        VM.prank(sender % 4 == 0 ? keyAddress(node) : swarmOwner(swarm));
        try SWARM_REGISTRY.invite(swarmId(swarm), nodeId(node)) {
            VM.assertTrue(allowed, "invited against the rules");
            standing[swarm][node] = SwarmRegistry.Standing.Invited;
        } catch {
            VM.assertFalse(allowed);
        }
    }

    /// @dev Most batches begin at or near the next round, so that many are taken and many are not.
    function attest(uint256 swarm, uint256 node, uint256 sender, uint8 ahead, uint8 length) external {
        (swarm, node, sender) = _bound(swarm, node, sender);
        uint64 next = highest[swarm][node] + 1;
        uint64 first = ahead % 2 == 0 ? next : (next + uint64(ahead) % 8 > 4 ? next + uint64(ahead) % 8 - 4 : 1);
        uint64 last = first + uint64(length) % 8;
        bool allowed =
            standing[swarm][node] == SwarmRegistry.Standing.Member && keyIndex[node] == sender && first == next;
        AttestationRequest memory request = _request(swarm, node, first, last);
        VM.prank(keyAddress(sender));
        try EAS.attest(request) {
            VM.assertTrue(allowed, "attested against the rules");
            for (uint64 round = first; round <= last; ++round) {
                VM.assertEq(++times[swarm][node][round], 1, "attested twice");
            }
            highest[swarm][node] = last;
        } catch {
            VM.assertFalse(allowed);
        }
    }

    function rotate(uint256 node, uint256 key) external {
        (, node, key) = _bound(0, node, key);
        address owner = REGISTRY.ownerOf(nodeId(node));
        uint256 nonce = REGISTRY.nonces(keyAddress(key));
        bytes32 structHash = keccak256(
            abi.encode(REGISTRY.ROTATION_TYPEHASH(), nodeId(node), keyAddress(key), owner, nonce, block.timestamp)
        );
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", REGISTRY.DOMAIN_SEPARATOR(), structHash));
        (uint8 v, bytes32 r, bytes32 s) = VM.sign(key + 1, digest);
        bool allowed = keyIndex[node] != key && (served[key] == 0 || served[key] == node + 1);
        VM.prank(owner);
        try REGISTRY.setAgentWallet(nodeId(node), keyAddress(key), block.timestamp, abi.encodePacked(r, s, v)) {
            VM.assertTrue(allowed, "rotated against the rules");
            keyIndex[node] = key;
            served[key] = node + 1;
        } catch {
            VM.assertFalse(allowed);
        }
    }

    function unsetKey(uint256 node) external {
        (, node,) = _bound(0, node, 0);
        VM.prank(REGISTRY.ownerOf(nodeId(node)));
        REGISTRY.unsetAgentWallet(nodeId(node));
        keyIndex[node] = KEYS;
    }

    function keyAddress(uint256 key) public view returns (address) {
        return _addresses[key];
    }

    function nodeId(uint256 node) public view returns (uint256) {
        return uint160(keyAddress(node));
    }

    function swarmOwner(uint256 swarm) public pure returns (address) {
        // forge-lint: disable-next-line(unsafe-typecast) one of two
        return address(uint160(0x5A4 + swarm));
    }

    function swarmId(uint256 swarm) public pure returns (bytes32) {
        return keccak256(abi.encode(swarmOwner(swarm), bytes32(0)));
    }

    function head(uint256 swarm, uint256 node, uint64 round) public pure returns (bytes32) {
        return keccak256(abi.encode(swarm, node, round));
    }

    function policy(uint256 swarm) public pure returns (SwarmRegistry.Policy) {
        return swarm == 0 ? SwarmRegistry.Policy.Open : SwarmRegistry.Policy.Invited;
    }

    /// @dev A Node is owned by the key that registered it, which goes on to control it after a rotation.
    function _controls(uint256 key, uint256 node) private view returns (bool) {
        return key == node || keyIndex[node] == key;
    }

    function _bound(uint256 swarm, uint256 node, uint256 key) private pure returns (uint256, uint256, uint256) {
        return (swarm % SWARMS, node % NODES, key % KEYS);
    }

    function _request(uint256 swarm, uint256 node, uint64 first, uint64 last)
        private
        view
        returns (AttestationRequest memory)
    {
        RoundResolver.Rounds memory rounds = RoundResolver.Rounds({
            swarmId: swarmId(swarm),
            nodeId: nodeId(node),
            firstRound: first,
            lastRound: last,
            recordsRoot: keccak256(abi.encode(first, last)),
            previous: first == 1 ? bytes32(0) : head(swarm, node, first - 1),
            head: head(swarm, node, last),
            model: 0,
            samples: 0,
            tokens: 0,
            reward: 0
        });
        return AttestationRequest({
            schema: RESOLVER.SCHEMA_UID(),
            data: AttestationRequestData({
                recipient: address(0),
                expirationTime: 0,
                revocable: false,
                refUID: 0,
                data: abi.encode(rounds),
                value: 0
            })
        });
    }
}
