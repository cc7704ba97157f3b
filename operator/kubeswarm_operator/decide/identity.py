"""Who a Swarm is, on the chain and without one."""

from kubeswarm_api.encoding import digest, to_hex
from kubeswarm_contracts import swarm_id as swarm_id_on_chain

#: Marks ids of Swarms that no chain knows, so that they can never be those of one that it does.
_OFFLINE = b"kubeswarm.dev/offline-swarm:"


def salt(uid: str) -> bytes:
    """What makes one owner's Swarms differ: 32 bytes from the object's uid."""
    return digest(uid.encode())


def swarm_id(uid: str, owner: str | None, recorded: str | None) -> str:
    """A Swarm's id (0x, 64 hex digits).

    `owner`: the address of the operator's account; None without a chain. What was recorded stays: records and streams
    are bound to it, and a Swarm on the chain keeps its owner even if the operator gets another account. Only an
    offline id is replaced, once there is an owner.
    """
    offline = to_hex(digest(_OFFLINE + uid.encode()))
    if recorded and recorded != offline:
        return recorded
    return offline if owner is None else swarm_id_on_chain(owner, salt(uid))
