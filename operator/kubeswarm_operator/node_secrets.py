"""A Node's Secrets: each is made once, and remembered by what stands on it, never by its content."""

import secrets
from base64 import b64decode
from dataclasses import dataclass
from datetime import datetime

from kubeswarm_api.errors import InvalidConfig
from kubeswarm_api.names import (
    CREDENTIALS_KEY,
    IDENTITY_ADDRESS_KEY,
    IDENTITY_KEY,
    IDENTITY_SIGNER_KEY,
    RAY_TOKEN_KEY,
    credentials_name,
    identity_name,
    ray_token_name,
)
from kubeswarm_api.node import NodeSpec
from kubeswarm_contracts import Account, new_key, node_id
from kubeswarm_operator.apply import Refused
from kubeswarm_operator.build.meta import Owner
from kubeswarm_operator.build.network_policy import port_of
from kubeswarm_operator.build.secrets import (
    ADDRESS_ANNOTATION,
    MINTED_FOR_ANNOTATION,
    SIGNER_PORT_ANNOTATION,
    exchange_secret,
    identity_secret,
    ray_secret,
)
from kubeswarm_operator.context import Context
from kubeswarm_operator.decide.children import stamped
from kubeswarm_operator.kube import Conflict, Unavailable
from kubeswarm_operator.resources import SECRETS, Object


async def identity(context: Context, owner: Owner, spec: NodeSpec) -> str:
    """The Node's id, from its key, which is made if there is none."""
    name = identity_name(owner.name)
    live = context.store.get(SECRETS, owner.namespace, name)
    address, port = _annotation(live, ADDRESS_ANNOTATION), signer_port(context, owner)
    if live is None or address is None:
        key, address = new_key()
        try:
            await context.applier.create(identity_secret(owner, address, spec.identity.retain, key))
        except Conflict:
            found = await _existing(context, owner, name)
            address, port = _identity_of(name, found)
            context.store.put(SECRETS, found)  # it has no label to be seen by yet: now it is taken over
    await context.applier.apply([stamped(identity_secret(owner, address, spec.identity.retain, signer_port=port))])
    return node_id(address)


def signer_port(context: Context, owner: Owner) -> int | None:
    """The port of the service that holds the Node's key; None where the Secret holds it."""
    port = _annotation(context.store.get(SECRETS, owner.namespace, identity_name(owner.name)), SIGNER_PORT_ANNOTATION)
    return int(port) if port and port.isdecimal() else None


def _annotation(live: Object | None, name: str) -> str | None:
    return ((live or {}).get("metadata", {}).get("annotations") or {}).get(name)


def _identity_of(name: str, live: Object) -> tuple[str, int | None]:
    """The address of a key that was there before, and its signer's port if a service holds it.

    The Secret was made by hand, or by us without its label having been seen.
    """
    data = {key: b64decode(value).decode(errors="replace").strip() for key, value in (live.get("data") or {}).items()}
    try:
        if IDENTITY_SIGNER_KEY in data:
            url = data[IDENTITY_SIGNER_KEY]
            return Account.remote(url, data.get(IDENTITY_ADDRESS_KEY, "")).address, port_of(url)
        return Account(data.get(IDENTITY_KEY, "")).address, None
    except InvalidConfig as error:
        raise Refused(
            422,
            "InvalidKey",
            f"Secret {name} holds no key under {IDENTITY_KEY}, and no signer's URL and address under "
            f"{IDENTITY_SIGNER_KEY} and {IDENTITY_ADDRESS_KEY}: correct or delete it ({error})",
        ) from error


async def _existing(context: Context, owner: Owner, name: str) -> Object:
    """A Secret that was there when it should be made."""
    live = await context.kube.get(SECRETS, owner.namespace, name)
    if live is None:
        raise Unavailable(404, "NotFound", f"Secret {name} has just gone")
    return live


@dataclass(frozen=True)
class Token:
    """The Secret with the token of a Ray cluster."""

    uid: str  # another one: another token, for which all processes must start anew
    made: datetime


async def ray_token(context: Context, owner: Owner, anew: bool = False) -> Token:
    """The Ray cluster's token, made if there is none or it is empty. `anew`: the one that is there goes."""
    name = ray_token_name(owner.name)
    live = context.store.get(SECRETS, owner.namespace, name)
    if live is not None and (anew or RAY_TOKEN_KEY not in (live.get("data") or {})):
        await context.applier.delete(live)
        live = None
    if live is None:
        try:
            live = await context.applier.create(ray_secret(owner, secrets.token_hex(32)))
        except Conflict:
            live = await _existing(context, owner, name)
            if RAY_TOKEN_KEY not in (live.get("data") or {}):
                raise Refused(422, "InvalidSecret", f"Secret {name} has no {RAY_TOKEN_KEY}: delete it") from None
    meta = live["metadata"]
    return Token(meta["uid"], datetime.fromisoformat(meta["creationTimestamp"]))


async def exchange_credentials(context: Context, owner: Owner, spec: NodeSpec, swarm: str, node: str) -> str | None:
    """The name of the Secret with the credentials for the exchange: minted here, or given to a Node that joined."""
    if context.exchange.url is None:
        return None
    if spec.swarm.join is not None:
        return spec.swarm.join.credentials
    mark = context.exchange.minted_for(swarm, node)
    if mark is None:
        return None
    name = credentials_name(owner.name)
    live = context.store.get(SECRETS, owner.namespace, name)
    minted = ((live or {}).get("metadata", {}).get("annotations") or {}).get(MINTED_FOR_ANNOTATION)
    if live is None or minted != mark or CREDENTIALS_KEY not in live.get("data", {}):
        fresh = exchange_secret(owner, mark, context.exchange.credentials(swarm, node))
        await context.applier.apply([stamped(fresh)])
    return name
