"""The transactions that record a round or a rollout, as bytes: by us, and by other ways."""

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from kubeswarm_api.encoding import ZERO_DIGEST, from_hex, to_hex
from kubeswarm_api.records import Address, Digest
from kubeswarm_contracts import Account
from kubeswarm_contracts.abi import interface
from kubeswarm_contracts.chain import NOBODY

CHAIN_ID = 31337
#: More than any of them takes.
GAS_LIMIT = 8_000_000
URI = "ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"


def eas_attest(schema: Digest, data: bytes) -> bytes:
    """EAS.attest, one attestation: ours, or any other's under a schema."""
    return interface("EAS").call("attest", (from_hex(schema), (NOBODY, 0, False, ZERO_DIGEST, data, 0)))


def eas_multi_attest(schema: Digest, each: list[bytes]) -> bytes:
    """EAS.multiAttest, several attestations under one schema."""
    requests = [(NOBODY, 0, False, ZERO_DIGEST, data, 0) for data in each]
    return interface("EAS").call("multiAttest", [(from_hex(schema), requests)])


def erc8004(request: bytes, agent: int) -> list[bytes]:
    """A request for validation and its answer, in the interface of ERC-8004's Validation Registry."""
    ask = encode(["address", "uint256", "string", "bytes32"], [NOBODY, agent, URI, request])
    answer = encode(
        ["bytes32", "uint8", "string", "bytes32", "string"], [request, 100, "", keccak(b"response"), "round"]
    )
    return [
        _selector("validationRequest(address,uint256,string,bytes32)") + ask,
        _selector("validationResponse(bytes32,uint8,string,bytes32,string)") + answer,
    ]


def submit_reward(number: int, reward: int) -> bytes:
    """RL Swarm's coordinator: the reward of one peer in one stage of one round."""
    peer = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
    arguments = encode(["uint256", "uint256", "int256", "string"], [number, 0, reward, peer])
    return _selector("submitReward(uint256,uint256,int256,string)") + arguments


def signed(account: Account, nonce: int, to: Address, data: bytes) -> str:
    """As a transaction, in hex."""
    fields = {
        "chainId": CHAIN_ID, "nonce": nonce, "to": to, "value": 0, "data": to_hex(data), "type": 2, "gas": GAS_LIMIT,
        "maxFeePerGas": 100 * 10**9, "maxPriorityFeePerGas": 10**9,
    }  # fmt: skip
    return account.sign_transaction(fields)[0]


def _selector(signature: str) -> bytes:
    return keccak(signature.encode())[:4]
