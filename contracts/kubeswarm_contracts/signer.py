"""What holds a key: this process, or a service that signs for it.

A signer signs keccak256 of some bytes with one secp256k1 key. That is all that EIP-712 messages and transactions need.
"""

from typing import Protocol
from urllib.parse import urlsplit

import requests
from eth_keys.constants import SECPK1_N
from eth_keys.datatypes import PrivateKey, PublicKey, Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError as InvalidKey

from kubeswarm_api.encoding import from_hex, to_hex
from kubeswarm_api.errors import InvalidConfig
from kubeswarm_api.records import Address
from kubeswarm_contracts.errors import SignerUnreachable

CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0
_PUBLIC_KEY_BYTES = 64


class Signer(Protocol):
    """One key. `address` is lower-case."""

    address: Address

    def sign(self, data: bytes) -> Signature:
        """The signature over keccak256(data), of EIP-2's low s. Raises SignerUnreachable."""
        ...


class LocalSigner:
    """The key is in this process, and stays inside: it is in no repr, no message and no error."""

    def __init__(self, private_key: str) -> None:
        """Raises InvalidConfig, without the key in it, if `private_key` is not 0x and 64 hex digits of a key."""
        try:
            key = PrivateKey(from_hex(private_key.strip(), 32))
            self.address: Address = key.public_key.to_address()
        except (ValueError, InvalidKey):
            raise InvalidConfig("the private key must be 0x and 64 hex digits (and not zero)") from None
        self._key = key

    def sign(self, data: bytes) -> Signature:
        """As `Signer.sign`; always at once."""
        return self._key.sign_msg(data)


class RemoteSigner:
    """The key is held by Web3Signer, or by what speaks its eth1 API, at a URL: a vault, an HSM, a cloud's KMS.

    GET /api/v1/eth1/publicKeys lists keys; POST /api/v1/eth1/sign/{public key} takes {"data": hex} and answers r, s, v.
    https://docs.web3signer.consensys.io (eth1). A user and password in the URL are sent as HTTP basic authentication.
    """

    def __init__(self, url: str, address: Address) -> None:
        """Raises InvalidConfig, without what is secret in the URL, if that is none, or the address is none."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidConfig("the signer's URL must be http(s)://host[:port][/path]")
        try:
            self.address: Address = to_hex(from_hex(address.lower(), 20))
        except ValueError:
            raise InvalidConfig("the signer's address must be 0x and 40 hex digits") from None
        self._name = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        self._api = url.rstrip("/") + "/api/v1/eth1"
        self._session = requests.Session()
        self._identifier: str | None = None

    def sign(self, data: bytes) -> Signature:
        """As `Signer.sign`: what comes back is checked to be this key's signature over this data."""
        answer = self._ask("POST", f"sign/{self._find()}", {"data": to_hex(data)})
        try:
            signature = _parse(answer.text.strip())
            signer = signature.recover_public_key_from_msg(data).to_address()
        except (ValueError, BadSignature, InvalidKey) as error:
            raise SignerUnreachable(f"the signer at {self._name} answered with no signature") from error
        if signer != self.address:
            raise SignerUnreachable(f"the signer at {self._name} signed with the key of {signer}, not {self.address}")
        return signature

    def _find(self) -> str:
        """The public key under which the signer knows the address."""
        if self._identifier is None:
            answer = self._ask("GET", "publicKeys")
            try:
                known = {_address_of(key): key for key in answer.json()}
            except (ValueError, TypeError, AttributeError, InvalidKey) as error:
                raise SignerUnreachable(f"the signer at {self._name} listed something else than keys") from error
            if self.address not in known:
                raise SignerUnreachable(f"the signer at {self._name} has no key of {self.address}: add it there")
            self._identifier = known[self.address]
            return known[self.address]
        return self._identifier

    def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> requests.Response:
        try:
            answer = self._session.request(
                method, f"{self._api}/{path}", json=body, timeout=(CONNECT_SECONDS, READ_SECONDS)
            )
        except requests.RequestException as error:
            cause = type(error).__name__
            raise SignerUnreachable(
                f"no answer from the signer at {self._name} ({cause}): check that it runs"
            ) from error
        if answer.status_code != requests.codes.ok:
            self._identifier = None  # its keys may have changed
            raise SignerUnreachable(
                f"the signer at {self._name} refuses with HTTP status {answer.status_code}: look at its log"
            )
        return answer


def _address_of(public_key: str) -> Address:
    return PublicKey(bytes.fromhex(public_key.removeprefix("0x"))[-_PUBLIC_KEY_BYTES:]).to_address()


def _parse(text: str) -> Signature:
    """r, s, v of a signature in hex, v from 0 or from 27 on; an s of the upper half is turned into its equal."""
    data = from_hex(text.lower(), 65)
    r, s, v = int.from_bytes(data[:32]), int.from_bytes(data[32:64]), data[64]
    v -= 27 if v >= 27 else 0
    if s > SECPK1_N // 2:
        s, v = SECPK1_N - s, v ^ 1
    return Signature(vrs=(v, r, s))
