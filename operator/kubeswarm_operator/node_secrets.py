"""A Node's Secrets: each is made once, and remembered by what stands on it, never by its content."""

import secrets
from base64 import b64decode
from dataclasses import dataclass
from datetime import datetime

from kubeswarm_api.errors import InvalidConfig
from kubeswarm_api.names import (
    CREDENTIALS_KEY,
    IDENTITY_KEY,
    RAY_TOKEN_KEY,
    credentials_name,
    identity_name,
    ray_token_name,
)
from kubeswarm_api.node import NodeSpec
from kubeswarm_contracts import Account, new_key, node_id
from kubeswarm_operator.apply import Refused
from kubeswarm_operator.build.meta import Owner
from kubeswarm_operator.build.secrets import (
    ADDRESS_ANNOTATION,
    MINTED_FOR_ANNOTATION,
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
    address = ((live or {}).get("metadata", {}).get("annotations") or {}).get(ADDRESS_ANNOTATION)
    if live is None or address is None:
        key, address = new_key()
        try:
            await context.applier.create(identity_secret(owner, address, spec.identity.retain, key))
        except Conflict:
            address = await _existing_address(context, owner, name)
    await context.applier.apply([stamped(identity_secret(owner, address, spec.identity.retain))])
    return node_id(address)


async def _existing_address(context: Context, owner: Owner, name: str) -> str:
    """The address of a key that was there before: made by hand, or by us without its label having been seen."""
    live = await _existing(context, owner, name)
    encoded = (live.get("data") or {}).get(IDENTITY_KEY, "")
    try:
        return Account(b64decode(encoded).decode()).address
    except (ValueError, InvalidConfig) as error:
        raise Refused(
            422, "InvalidKey", f"Secret {name} holds no key under {IDENTITY_KEY}: correct or delete it"
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
    """The Ray cluster's token, which is made if there is none. `anew`: the one that is there goes."""
    name = ray_token_name(owner.name)
    live = context.store.get(SECRETS, owner.namespace, name)
    if live is not None and anew:
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
