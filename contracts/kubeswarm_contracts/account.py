"""An account, and what may be signed with its key."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rlp
from eth_keys.constants import SECPK1_N
from eth_utils.crypto import keccak

from kubeswarm_api.encoding import from_hex, to_hex
from kubeswarm_api.errors import InvalidConfig
from kubeswarm_api.records import Address, Digest
from kubeswarm_contracts.signer import LocalSigner, RemoteSigner, Signer
from kubeswarm_contracts.signing import Domain, KeyProof, batch_message, registration_message, rotation_message

if TYPE_CHECKING:
    from eth_account.messages import SignableMessage

#: The one type of transaction that is sent (EIP-1559), and its first fields in order; data and access list follow.
TRANSACTION_TYPE = 2
_FIELDS = ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas")


def new_key() -> tuple[str, Address]:
    """A fresh key from the system's random source: (0x-prefixed private key, its address)."""
    key = to_hex((1 + secrets.randbelow(SECPK1_N - 1)).to_bytes(32))
    return key, LocalSigner(key).address


class Account:
    """Signs with one key. `address` is lower-case. Where another service holds the key, all raise SignerUnreachable."""

    def __init__(self, private_key: str) -> None:
        """Raises InvalidConfig, without the key in it, if `private_key` is not 0x and 64 hex digits of a key."""
        self._signer: Signer = LocalSigner(private_key)
        self.address: Address = self._signer.address

    @classmethod
    def remote(cls, url: str, address: Address) -> Account:
        """The account at `address`, of which the signer at `url` holds the key. Raises InvalidConfig."""
        account = cls.__new__(cls)
        account._signer = RemoteSigner(url, address)
        account.address = account._signer.address
        return account

    @classmethod
    def from_file(cls, path: Path) -> Account:
        """The account of a mounted Secret's file. Raises InvalidConfig."""
        try:
            return cls(path.read_text())
        except OSError as error:
            raise InvalidConfig(f"{path}: the key can't be read ({error.strerror})") from error
        except InvalidConfig as error:
            raise InvalidConfig(f"{path}: {error}") from None

    def __repr__(self) -> str:
        return f"Account({self.address})"

    def sign_batch(self, domain: Domain, swarm_id: Digest, node_id: Address, round: int, digest: bytes) -> bytes:
        """The signature (65 bytes) over a batch of rollouts whose Merkle root is `digest`."""
        return self._sign(batch_message(domain, swarm_id, node_id, round, digest))

    def sign_registration(self, domain: Domain, owner: Address, nonce: int, deadline: int) -> KeyProof:
        """This key's consent to be registered as a Node of `owner`."""
        signature = self._sign(registration_message(domain, self.address, owner, nonce, deadline))
        return KeyProof(key=self.address, owner=owner, nonce=nonce, deadline=deadline, signature=signature)

    def sign_rotation(self, domain: Domain, node_id: Address, owner: Address, nonce: int, deadline: int) -> KeyProof:
        """This key's consent to take over the Node `node_id` of `owner`."""
        signature = self._sign(rotation_message(domain, node_id, self.address, owner, nonce, deadline))
        return KeyProof(key=self.address, owner=owner, nonce=nonce, deadline=deadline, signature=signature)

    def sign_transaction(self, transaction: dict[str, Any]) -> tuple[str, Digest]:
        """The signed transaction as hex, and its hash. EIP-1559: 0x02 and the RLP of its fields, then v, r and s."""
        value = transaction["value"]
        values = [transaction[name] for name in _FIELDS]
        values += [from_hex(transaction["to"], 20), value, bytes.fromhex(transaction["data"][2:]), []]
        signature = self._signer.sign(_typed(values))
        raw = _typed([*values, signature.v, signature.r, signature.s])
        return to_hex(raw), to_hex(keccak(raw))

    def _sign(self, message: SignableMessage) -> bytes:
        # ERC-191: 0x19, the version, and for EIP-712 the hashes of domain and message.
        signature = self._signer.sign(b"\x19" + message.version + message.header + message.body)
        return signature.r.to_bytes(32) + signature.s.to_bytes(32) + bytes([signature.v + 27])


def _typed(values: list[Any]) -> bytes:
    return bytes([TRANSACTION_TYPE]) + rlp.encode(values)
