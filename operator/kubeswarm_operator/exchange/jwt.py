"""NATS' decentralised credentials: JSON Web Tokens (version 2) signed with Ed25519 "nkeys".

An operator signs accounts, an account signs users; the server knows the operator and the accounts, so that a user's
token, made offline, lets it in without the server being told. Format: docs.nats.io, "JWT authentication", and
github.com/nats-io/jwt (v2).
"""

import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import nkeys

OPERATOR = nkeys.PREFIX_BYTE_OPERATOR
ACCOUNT = nkeys.PREFIX_BYTE_ACCOUNT
USER = nkeys.PREFIX_BYTE_USER

#: NATS' way of saying "no limit".
UNLIMITED = -1


def new_seed(prefix: int) -> str:
    """A fresh private key as an nkey seed (S…); `prefix` is OPERATOR, ACCOUNT or USER."""
    return nkeys.encode_seed(os.urandom(32), prefix=prefix).decode()


def public_key(seed: str) -> str:
    """The public key of a seed, 56 characters. Raises ValueError if `seed` is not one."""
    return _pair(seed).public_key.decode()


def operator_token(operator_seed: str, system_account: str) -> str:
    """The operator's own, self-signed token. `system_account`: public key of the account that serves the server."""
    claims = {"type": "operator", "version": 2, "system_account": system_account}
    return _sign(operator_seed, public_key(operator_seed), "kubeswarm", claims)


def account_token(operator_seed: str, account: str, name: str, nats: Mapping[str, Any]) -> str:
    """An account of this operator; `nats`: its limits, exports and imports as they stand in the token."""
    return _sign(operator_seed, account, name, {"type": "account", "version": 2, **nats})


def user_token(
    account_seed: str, user: str, name: str, publish: Sequence[str], subscribe: Sequence[str], issued_at: int
) -> str:
    """A user of the account who may publish and subscribe to these subjects only. `issued_at`: Unix seconds."""
    claims = {
        "type": "user",
        "version": 2,
        "pub": {"allow": list(publish)},
        "sub": {"allow": list(subscribe)},
        "subs": 64,
        "data": UNLIMITED,
        "payload": UNLIMITED,
    }
    return _sign(account_seed, user, name, claims, issued_at)


def credentials(token: str, user_seed: str) -> str:
    """The text of a `.creds` file: a user's token and the seed that proves it is the user's own."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user_seed}\n------END USER NKEY SEED------\n"
    )


def _pair(seed: str) -> Any:
    try:
        return nkeys.from_seed(bytearray(seed.encode()))
    except (nkeys.NkeysError, ValueError) as error:
        raise ValueError("not an nkey seed") from error


def _sign(issuer_seed: str, subject: str, name: str, nats: dict[str, Any], issued_at: int | None = None) -> str:
    """Only users' tokens say when they were issued: the others are configuration, and equal input gives equal bytes."""
    pair = _pair(issuer_seed)
    claims: dict[str, Any] = {"iss": pair.public_key.decode(), "sub": subject, "name": name, "nats": nats}
    if issued_at is not None:
        claims["iat"] = issued_at
    claims["jti"] = base64.b32encode(hashlib.sha256(_json(claims)).digest()).rstrip(b"=").decode()
    signed = f"{_base64(_json({'typ': 'JWT', 'alg': 'ed25519-nkey'}))}.{_base64(_json(claims))}"
    return f"{signed}.{_base64(pair.sign(signed.encode()))}"


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
