"""The EIP-712 messages that a Node's key signs, and who signed them.

Importing eth_account takes half a second, most of it for BLS keys: who neither signs nor checks is spared that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError
from pydantic import Field

from kubeswarm_api.base import Model
from kubeswarm_api.encoding import from_hex, to_hex
from kubeswarm_api.records import Address, Digest
from kubeswarm_contracts.deployments import Deployment

if TYPE_CHECKING:
    from eth_account.messages import SignableMessage

SIGNATURE_BYTES = 65

_REGISTRATION = (
    "Registration",
    (("key", "address"), ("owner", "address"), ("nonce", "uint256"), ("deadline", "uint256")),
)
_ROTATION = (
    "Rotation",
    (("nodeId", "uint256"), ("key", "address"), ("owner", "address"), ("nonce", "uint256"), ("deadline", "uint256")),
)
_BATCH = ("RolloutBatch", (("swarmId", "bytes32"), ("nodeId", "uint256"), ("round", "uint64"), ("digest", "bytes32")))


class Domain(Model):
    """What a signature is bound to beside its message: a chain, and the registry that knows the Nodes."""

    chain_id: int = Field(ge=1)
    registry: Address


class KeyProof(Model):
    """A key's consent to serve a Node of `owner`, until `deadline` (Unix seconds, by the chain's clock)."""

    key: Address
    owner: Address
    nonce: int = Field(ge=0)
    deadline: int = Field(ge=0)
    signature: bytes


def domain(deployment: Deployment) -> Domain:
    """The EIP-712 domain of a deployment."""
    return Domain(chain_id=deployment.chain_id, registry=deployment.node_registry)


def node_id(address: Address) -> Address:
    """The id of the Node that the key at `address` registers: the address itself, as in round records."""
    return address.lower()


def swarm_id(owner: Address, salt: bytes) -> Digest:
    """The id of the swarm that `owner` creates with a salt of 32 bytes: keccak256(abi.encode(owner, salt))."""
    if len(salt) != 32:
        raise ValueError(f"salt has {len(salt)} bytes instead of 32")
    return to_hex(keccak(from_hex(owner, 20).rjust(32, b"\0") + salt))


def registration_message(domain: Domain, key: Address, owner: Address, nonce: int, deadline: int) -> SignableMessage:
    """What a key signs to be registered."""
    return _message(domain, _REGISTRATION, {"key": key, "owner": owner, "nonce": nonce, "deadline": deadline})


def rotation_message(
    domain: Domain, node_id: Address, key: Address, owner: Address, nonce: int, deadline: int
) -> SignableMessage:
    """What a key signs to take over a Node."""
    values = {"nodeId": int(node_id, 16), "key": key, "owner": owner, "nonce": nonce, "deadline": deadline}
    return _message(domain, _ROTATION, values)


def batch_message(domain: Domain, swarm_id: Digest, node_id: Address, round: int, digest: bytes) -> SignableMessage:
    """What a key signs of a batch of rollouts; `digest` is the batch's Merkle root."""
    values = {"swarmId": from_hex(swarm_id), "nodeId": int(node_id, 16), "round": round, "digest": digest}
    return _message(domain, _BATCH, values)


def recover_batch_signer(
    domain: Domain, swarm_id: Digest, node_id: Address, round: int, digest: bytes, signature: bytes
) -> Address | None:
    """The address whose key signed the batch; None for bytes that are no signature at all."""
    from eth_account import Account as EthAccount

    if len(signature) != SIGNATURE_BYTES or len(digest) != 32:
        return None
    message = batch_message(domain, swarm_id, node_id, round, digest)
    try:
        return EthAccount.recover_message(message, signature=signature).lower()
    except (BadSignature, ValidationError, ValueError):
        return None


def _message(domain: Domain, kind: tuple[str, tuple[tuple[str, str], ...]], values: dict[str, Any]) -> SignableMessage:
    from eth_account.messages import encode_typed_data

    name, fields = kind
    return encode_typed_data(
        {"name": "KubeSwarm", "version": "1", "chainId": domain.chain_id, "verifyingContract": domain.registry},
        {name: [{"name": field, "type": type_} for field, type_ in fields]},
        values,
    )
