"""The contracts' interfaces: encoding of calls, decoding of answers and events, by the artifacts in this package."""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import (
    collapse_if_tuple,
    event_abi_to_log_topic,
    function_abi_to_4byte_selector,
)

from kubeswarm_api.encoding import to_hex

SELECTOR_BYTES = 4


@dataclass(frozen=True)
class Interface:
    """One contract's ABI and creation bytecode."""

    name: str
    entries: tuple[dict[str, Any], ...]
    bytecode: bytes

    def _entry(self, kind: str, name: str) -> dict[str, Any]:
        found = [each for each in self.entries if each["type"] == kind and each["name"] == name]
        if len(found) != 1:
            raise LookupError(f"{self.name} has {len(found)} entries of type {kind} named {name}")
        return found[0]

    def call(self, function: str, *arguments: Any) -> bytes:
        """The calldata of a call. Tuples are given as tuples, bytes32 as bytes, addresses as hex."""
        entry = self._entry("function", function)
        return function_abi_to_4byte_selector(entry) + encode(_types(entry["inputs"]), arguments)  # pyright: ignore[reportArgumentType]

    def result(self, function: str, data: bytes) -> tuple[Any, ...]:
        """What a call returned. Raises eth_abi's DecodingError if `data` is not that."""
        return decode(_types(self._entry("function", function)["outputs"]), data)

    def creation(self, *arguments: Any) -> bytes:
        """Creation bytecode followed by the constructor's arguments."""
        inputs = next((each["inputs"] for each in self.entries if each["type"] == "constructor"), [])
        return self.bytecode + encode(_types(inputs), arguments)

    def topic(self, event: str) -> str:
        """The first topic of an event's logs."""
        return to_hex(event_abi_to_log_topic(self._entry("event", event)))  # pyright: ignore[reportArgumentType]

    def event_of(self, topic: str) -> dict[str, Any] | None:
        """The ABI's entry of the event whose logs begin with `topic`; None if it is none of this contract."""
        return _events(self.name).get(topic)

    def event(self, event: str, log: dict[str, Any]) -> dict[str, Any]:
        """The arguments of an event by name. `log` is a log as JSON-RPC gives it."""
        inputs = self._entry("event", event)["inputs"]
        indexed = [each for each in inputs if each["indexed"]]
        plain = [each for each in inputs if not each["indexed"]]
        topics = [bytes.fromhex(topic[2:]) for topic in log["topics"][1:]]
        values = {each["name"]: decode([each["type"]], topic)[0] for each, topic in zip(indexed, topics, strict=True)}
        data = decode(_types(plain), bytes.fromhex(log["data"][2:]))
        return values | {each["name"]: value for each, value in zip(plain, data, strict=True)}

    def error(self, data: bytes) -> tuple[str, dict[str, Any]] | None:
        """The custom error in a revert's data: its name, its arguments by name. None if it is none of this contract."""
        for entry in self.entries:
            if entry["type"] == "error" and function_abi_to_4byte_selector(entry) == data[:SELECTOR_BYTES]:  # pyright: ignore[reportArgumentType]
                try:
                    values = decode(_types(entry["inputs"]), data[SELECTOR_BYTES:])
                except DecodingError:
                    return None
                return entry["name"], {each["name"]: value for each, value in zip(entry["inputs"], values, strict=True)}
        return None


def _types(inputs: list[dict[str, Any]]) -> list[str]:
    return [collapse_if_tuple(each) for each in inputs]


@cache
def _events(name: str) -> dict[str, dict[str, Any]]:
    entries = [each for each in interface(name).entries if each["type"] == "event"]
    return {to_hex(event_abi_to_log_topic(each)): each for each in entries}  # pyright: ignore[reportArgumentType]


@cache
def interface(name: str) -> Interface:
    """The interface of the contract `name`, from the artifact that `make -C contracts generate` wrote."""
    text = resources.files(__package__ or "").joinpath("artifacts", f"{name}.json").read_text()
    artifact = json.loads(text)
    return Interface(artifact["contractName"], tuple(artifact["abi"]), bytes.fromhex(artifact["bytecode"][2:]))


CONTRACTS = (
    *("SchemaRegistry", "EAS", "NodeRegistry", "SwarmRegistry", "RoundResolver"),
    *("ReputationRegistry", "Treasury", "Crowdfunding"),
)
