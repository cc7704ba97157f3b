"""What our contracts told: their events as plain values, and the blocks that hold them."""

from collections.abc import Iterable
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import collapse_if_tuple

from kubeswarm_api.base import Model
from kubeswarm_api.encoding import to_hex
from kubeswarm_api.records import Address, Digest
from kubeswarm_contracts.abi import Interface, interface
from kubeswarm_contracts.chain import Chain
from kubeswarm_contracts.errors import ChainUnreachable


class Header(Model):
    """A block. `time`: Unix seconds."""

    number: int
    hash: Digest
    parent: Digest
    time: int


class Event(Model):
    """One event. `arguments` by name: bytes and addresses as hex, structs as objects, numbers and text as they are.

    `index`: its place among the logs of its block.
    """

    contract: str
    name: str
    arguments: dict[str, Any]
    block: int
    block_hash: Digest
    index: int
    tx_hash: Digest


def header(chain: Chain, block: int | str) -> Header | None:
    """A block by number or tag; None if the chain has none."""
    found = chain.rpc.request("eth_getBlockByNumber", hex(block) if isinstance(block, int) else block, False)
    return None if found is None else _header(chain, found)


def headers(chain: Chain, numbers: Iterable[int]) -> list[Header | None]:
    """Blocks by number, in that order; None for each that the chain does not have."""
    answers = chain.rpc.batch([("eth_getBlockByNumber", [hex(number), False]) for number in numbers])
    return [None if answer is None else _header(chain, answer) for answer in answers]


def events(chain: Chain, first: int, last: int) -> list[Event]:
    """What our contracts told in the blocks `first` to `last`, in the chain's order; events of no ABI are left out."""
    emitters = _emitters(chain)
    logs = chain.logs(list(emitters), [], first, last)
    found = [_event(chain, emitters[log["address"].lower()], log) for log in logs]
    return sorted((each for each in found if each is not None), key=lambda each: (each.block, each.index))


def _emitters(chain: Chain) -> dict[Address, Interface]:
    """The contracts whose events are ours; those that a deployment lacks are left out."""
    where = chain.deployment
    addresses = {
        "NodeRegistry": where.node_registry,
        "SwarmRegistry": where.swarm_registry,
        "RoundResolver": where.resolver,
        "Treasury": where.treasury,
        "Crowdfunding": where.crowdfunding,
    }
    return {address: interface(name) for name, address in addresses.items() if address is not None}


def _header(chain: Chain, block: Any) -> Header:
    try:
        return Header(
            number=int(block["number"], 16),
            hash=block["hash"],
            parent=block["parentHash"],
            time=int(block["timestamp"], 16),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ChainUnreachable(f"{chain.rpc.name} answered eth_getBlockByNumber with other data") from error


def _event(chain: Chain, contract: Interface, log: dict[str, Any]) -> Event | None:
    try:
        entry = contract.event_of(log["topics"][0]) if log["topics"] else None
        if entry is None:
            return None
        return Event(
            contract=contract.name,
            name=entry["name"],
            arguments=_arguments(entry["inputs"], log),
            block=int(log["blockNumber"], 16),
            block_hash=log["blockHash"],
            index=int(log["logIndex"], 16),
            tx_hash=log["transactionHash"],
        )
    except (DecodingError, KeyError, TypeError, ValueError) as error:
        raise ChainUnreachable(f"{chain.rpc.name} answered eth_getLogs with other data") from error


def _arguments(inputs: list[dict[str, Any]], log: dict[str, Any]) -> dict[str, Any]:
    plain = [each for each in inputs if not each["indexed"]]
    # Strings are strangers': read as the bytes that they are encoded as, one that is no UTF-8 stops nobody.
    types = [collapse_if_tuple(each).replace("string", "bytes") for each in plain]
    data = decode(types, bytes.fromhex(log["data"][2:]))
    values = {each["name"]: _plain(each, value) for each, value in zip(plain, data, strict=True)}
    topics = iter(log["topics"][1:])
    for each in inputs:
        if each["indexed"]:
            topic = bytes.fromhex(next(topics)[2:])
            # Of a string or an array the topic has the hash alone.
            hashed = each["type"] in ("string", "bytes") or each["type"].endswith("]")
            values[each["name"]] = to_hex(topic) if hashed else _plain(each, decode([each["type"]], topic)[0])
    return values


def _plain(entry: dict[str, Any], value: Any) -> Any:
    if entry["type"].endswith("[]"):
        inner = entry | {"type": entry["type"].removesuffix("[]")}
        return [_plain(inner, each) for each in value]
    if entry["type"] == "tuple":
        return {part["name"]: _plain(part, each) for part, each in zip(entry["components"], value, strict=True)}
    if entry["type"] == "string":
        return value.decode("utf-8", "replace")
    return to_hex(value) if isinstance(value, bytes) else value
