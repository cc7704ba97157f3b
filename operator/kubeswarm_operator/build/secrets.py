"""A Node's Secrets. Their content is made once; afterwards only labels and owner are kept as they should be."""

from base64 import b64encode

from kubeswarm_api.names import (
    CREDENTIALS_KEY,
    IDENTITY_KEY,
    RAY_TOKEN_KEY,
    credentials_name,
    identity_name,
    ray_token_name,
)
from kubeswarm_operator.build.meta import Owner, manifest
from kubeswarm_operator.resources import SECRETS, Object

#: The address of the key in the identity Secret, so that nobody need read the key to know who the Node is.
ADDRESS_ANNOTATION = "kubeswarm.dev/address"
#: Where a service holds the key: its port, so that the Node's pods may reach it.
SIGNER_PORT_ANNOTATION = "kubeswarm.dev/signer-port"
#: What exchange credentials were minted for: when it changes, they are minted again.
MINTED_FOR_ANNOTATION = "kubeswarm.dev/minted-for"


def _content(field: str, value: str | None) -> Object:
    if value is None:
        return {}
    return {"type": "Opaque", "data": {field: b64encode(value.encode()).decode()}}


def identity_secret(
    owner: Owner, address: str, retain: bool, key: str | None = None, signer_port: int | None = None
) -> Object:
    """The Node's key; without `key` only what may change later. `retain`: it outlives the Node."""
    body = _content(IDENTITY_KEY, key)
    annotations = {ADDRESS_ANNOTATION: address} | ({SIGNER_PORT_ANNOTATION: str(signer_port)} if signer_port else {})
    return manifest(SECRETS, owner, identity_name(owner.name), body, annotations=annotations, owned=not retain)


def ray_secret(owner: Owner, token: str | None = None) -> Object:
    """The token of the Node's Ray cluster."""
    body = _content(RAY_TOKEN_KEY, token)
    return manifest(SECRETS, owner, ray_token_name(owner.name), body)


def exchange_secret(owner: Owner, minted_for: str, credentials: str | None = None) -> Object:
    """The Node's credentials for the exchange."""
    body = _content(CREDENTIALS_KEY, credentials)
    annotations = {MINTED_FOR_ANNOTATION: minted_for}
    return manifest(SECRETS, owner, credentials_name(owner.name), body, annotations=annotations)
