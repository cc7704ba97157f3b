"""Canonical bytes and digests. Every digest in KubeSwarm's own formats is SHA-256."""

import hashlib
import json
from typing import Any, cast

import msgpack  # pyright: ignore[reportMissingTypeStubs]
import msgpack.exceptions  # pyright: ignore[reportMissingTypeStubs]

DIGEST_BYTES = 32
ZERO_DIGEST = bytes(DIGEST_BYTES)


def digest(data: bytes) -> bytes:
    """SHA-256 of `data`: 32 bytes."""
    return hashlib.sha256(data).digest()


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no white space, so that equal values have equal bytes.

    Raises ValueError for NaN and infinities, which JSON can't say.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()


def canonical_msgpack(value: Any) -> bytes:
    """msgpack with floats as 32-bit: the one encoding that rollouts are digested and sent in."""
    return cast(bytes, msgpack.packb(value, use_bin_type=True, use_single_float=True))  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def decode_msgpack(data: bytes, max_array: int) -> Any:
    """Plain values from a stranger's msgpack: no extension types, string keys, bounded arrays.

    Raises ValueError for anything else, trailing bytes included.
    """
    try:
        return msgpack.unpackb(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            data, raw=False, strict_map_key=True, max_map_len=64, max_array_len=max_array, max_ext_len=0
        )
    except (msgpack.exceptions.UnpackException, TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def to_hex(data: bytes) -> str:
    """0x and lower-case hex digits."""
    return "0x" + data.hex()


def from_hex(text: str, length: int = DIGEST_BYTES) -> bytes:
    """The bytes of `0x…`; raises ValueError if they are not `length` bytes."""
    if not text.startswith("0x"):
        raise ValueError(f"expected 0x and {2 * length} hex digits, got {text[:80]!r}")
    data = bytes.fromhex(text[2:])
    if len(data) != length:
        raise ValueError(f"expected {length} bytes, got {len(data)}")
    return data
