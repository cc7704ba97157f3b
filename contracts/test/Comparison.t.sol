// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RoundResolver} from "../src/RoundResolver.sol";
import {Fixture} from "./harness/Fixture.sol";
import {ValidationRegistry} from "./harness/Validation.sol";
import {VM} from "./harness/Vm.sol";
import {
    AttestationRequest,
    AttestationRequestData,
    MultiAttestationRequest
} from "@ethereum-attestation-service/eas-contracts/contracts/IEAS.sol";
import {ISchemaResolver} from "@ethereum-attestation-service/eas-contracts/contracts/resolver/ISchemaResolver.sol";

/// @notice What a round or a rollout costs here and by other ways of recording it, as transactions: run with --isolate.
/// `make bench-chain` takes the figures.
contract ComparisonGasTest is Fixture {
    string private constant URI = "ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";

    bytes32 private swarmId;
    uint256 private nodeId;
    address private key;

    function setUp() public override {
        super.setUp();
        (swarmId, nodeId) = _member(KEY);
        key = VM.addr(KEY);
        _attest(key, _rounds(swarmId, nodeId, 1, 1, keccak256("root")));
    }

    function test_gas_roundsByBatch() public {
        uint64 first = 2;
        for (uint64 size = 1; size <= 1024; size *= 4) {
            _attest(key, _rounds(swarmId, nodeId, first, first + size - 1, keccak256("root")));
            _keep("kubeswarm", size);
            first += size;
        }
    }

    /// @dev One attestation a round, with the same fields and nobody who checks them; then sixteen in one transaction.
    function test_gas_easByRound() public {
        bytes32 schema = schemas.register(
            "bytes32 a,uint256 b,uint64 c,uint64 d,bytes32 e,bytes32 f,bytes32 g,bytes32 h,uint64 i,uint64 j,int64 k",
            ISchemaResolver(address(0)),
            false
        );
        RoundResolver.Rounds memory rounds = _rounds(swarmId, nodeId, 1, 1, keccak256("root"));
        _easAttest(schema, abi.encode(rounds));
        _easAttest(schema, abi.encode(rounds));
        _keep("eas_round", 1);
        MultiAttestationRequest[] memory requests = new MultiAttestationRequest[](1);
        requests[0] = MultiAttestationRequest(schema, new AttestationRequestData[](16));
        for (uint64 i = 0; i < 16; ++i) {
            bytes memory data = abi.encode(_rounds(swarmId, nodeId, i + 2, i + 2, keccak256("root")));
            requests[0].data[i] = AttestationRequestData(address(0), 0, false, 0, data, 0);
        }
        VM.prank(key);
        eas.multiAttest(requests);
        _keep("eas_round_multi", 16);
    }

    /// @dev One attestation a rollout, of its digest alone.
    function test_gas_easByRollout() public {
        bytes32 schema = schemas.register("bytes32 rollout", ISchemaResolver(address(0)), false);
        _easAttest(schema, abi.encode(keccak256("rollout")));
        _keep("eas_rollout", 1);
    }

    function test_gas_erc8004Validation() public {
        ValidationRegistry registry = new ValidationRegistry(nodes);
        address validator = VM.addr(OTHER_KEY);
        for (uint256 i = 0; i < 2; ++i) {
            bytes32 request = keccak256(abi.encode("request", i));
            VM.prank(key);
            registry.validationRequest(validator, nodeId, URI, request);
            uint256 used = VM.lastCallGas().gasTotalUsed;
            VM.prank(validator);
            registry.validationResponse(request, 100, "", keccak256("response"), "round");
            VM.snapshotValue("comparison", "erc8004_request", used);
            _keep("erc8004_response", 1);
        }
    }

    function _easAttest(bytes32 schema, bytes memory data) private {
        VM.prank(key);
        eas.attest(AttestationRequest(schema, AttestationRequestData(address(0), 0, false, 0, data, 0)));
    }

    /// @dev The gas of the last transaction, under the name and what was in it.
    function _keep(string memory name, uint256 units) private {
        VM.snapshotValue("comparison", string.concat(name, "/", VM.toString(units)), VM.lastCallGas().gasTotalUsed);
    }
}
