"""What a transaction costs on an OP Stack rollup: its gas there, and its part of the data that the rollup posts."""

from dataclasses import asdict, dataclass

#: OP Stack specification, Fjord, "L1-Cost fee changes (FastLZ estimator)": a linear fit of what a transaction adds to a
#: compressed batch, in millionths of a byte.
INTERCEPT, COEFFICIENT, MINIMUM = -42_585_600, 836_500, 100_000_000

#: FastLZ, level 1: how far back a match may begin, the longest run of literals, the longest match, and how many bytes
#: at the end begin no match.
_WINDOW, _LITERALS, _MATCH, _TAIL = 8191, 32, 262, 13


@dataclass(frozen=True)
class Prices:
    """Wei per gas on L2, on L1 and for L1's blobs; the chain's two scalars, in millionths; dollars an ether.

    The defaults: 0.001 gwei on L2, 1 gwei each on L1, the scalars that Base has, 3,000 dollars.
    """

    l2_gas: int = 1_000_000
    l1_base: int = 1_000_000_000
    l1_blob: int = 1_000_000_000
    base_scalar: int = 2269
    blob_scalar: int = 1_055_762
    ether: float = 3000.0

    def to_json(self) -> dict[str, int | float]:
        return asdict(self)


def fastlz_size(data: bytes) -> int:
    """Bytes that FastLZ (level 1) makes of `data`: literals in runs of 32, each match 2 bytes or 3.

    A rollup's nodes compute just this number, so that quirks count: a match is looked for where a hash of three bytes
    was seen last, at 0 where it never was, and of a match only the last two places are remembered.
    """
    last: dict[int, int] = {}
    limit = max(0, len(data) - _TAIL)
    size, anchor, here = 0, 0, 2
    while here + 1 < limit:
        before = _remember(last, data, here)
        if here - before > _WINDOW or data[before : before + 3] != data[here : here + 3]:
            here += 1
            continue
        length = _common(data, before + 3, here + 3, limit + 9)
        size += _literals(here - anchor) + _match(length - 1)
        here += length
        for _ in range(2):
            _remember(last, data, here)
            here += 1
        anchor = here
    return size + _literals(len(data) - anchor)


def l1_fee(transaction: bytes, prices: Prices) -> int:
    """Wei for the data of a signed transaction."""
    scaled = max(MINIMUM, INTERCEPT + COEFFICIENT * fastlz_size(transaction))
    return scaled * (16 * prices.base_scalar * prices.l1_base + prices.blob_scalar * prices.l1_blob) // 10**12


def dollars(gas: int, transaction: bytes, prices: Prices) -> float:
    """What a transaction costs in all."""
    return (gas * prices.l2_gas + l1_fee(transaction, prices)) / 10**18 * prices.ether


def _remember(last: dict[int, int], data: bytes, at: int) -> int:
    """Where the three bytes here, or others of their hash, were last; from now on here."""
    slot = (2654435769 * int.from_bytes(data[at : at + 3], "little") >> 19) & 8191
    before = last.get(slot, 0)
    last[slot] = at
    return before


def _common(data: bytes, left: int, right: int, end: int) -> int:
    """How many bytes are the same from both places on, plus the one that is not, as far as `end`."""
    same = 0
    while right + same < end and data[left + same] == data[right + same]:
        same += 1
    return min(same + 1, end - right)


def _literals(count: int) -> int:
    return count + -(-count // _LITERALS)


def _match(length: int) -> int:
    return 3 * (length // _MATCH) + (3 if length % _MATCH >= 6 else 2)
