"""A private key, and what may be signed with it. The key stays inside: it is in no repr, no message and no error."""

from pathlib import Path
from typing import Any

from eth_account import Account as EthAccount
from eth_account.messages import SignableMessage
from eth_utils.address import to_checksum_address
from eth_utils.exceptions import ValidationError

from kubeswarm_api.encoding import from_hex, to_hex
from kubeswarm_api.errors import InvalidConfig
from kubeswarm_api.records import Address, Digest
from kubeswarm_contracts.signing import Domain, KeyProof, batch_message, registration_message, rotation_message


def new_key() -> tuple[str, Address]:
    """A fresh key from the system's random source: (0x-prefixed private key, its address)."""
    made = EthAccount.create()
    return to_hex(bytes(made.key)), made.address.lower()


class Account:
    """Signs with one key. `address` is lower-case."""

    def __init__(self, private_key: str) -> None:
        """Raises InvalidConfig, without the key in it, if `private_key` is not 0x and 64 hex digits of a key."""
        try:
            self._signer = EthAccount.from_key(from_hex(private_key.strip()))
        except (ValueError, ValidationError):
            raise InvalidConfig("the private key must be 0x and 64 hex digits (and not zero)") from None
        self.address: Address = self._signer.address.lower()

    @classmethod
    def from_file(cls, path: Path) -> "Account":
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
        """The signed transaction as hex, and its hash."""
        signed = self._signer.sign_transaction(transaction | {"to": to_checksum_address(transaction["to"])})
        return to_hex(bytes(signed.raw_transaction)), to_hex(bytes(signed.hash))

    def _sign(self, message: SignableMessage) -> bytes:
        return bytes(self._signer.sign_message(message).signature)
