"""What to offer for a transaction (EIP-1559): pure arithmetic in wei per gas."""

from dataclasses import dataclass
from typing import Self

from kubeswarm_api.node_config import GasCaps

GWEI = 10**9

#: A replacement must offer at least a tenth more; an eighth leaves room for rounding.
_RAISE = 8


@dataclass(frozen=True)
class FeeCaps:
    """The most we ever offer per gas: in all, and as the tip in it."""

    total: int = 200 * GWEI
    tip: int = 5 * GWEI

    @classmethod
    def of(cls, gas: GasCaps) -> Self:
        """The caps as they are configured, in gwei."""
        return cls(total=int(gas.max_fee_gwei * GWEI), tip=int(gas.max_priority_fee_gwei * GWEI))


@dataclass(frozen=True)
class Fees:
    """An offer: at most `total` per gas, of which `tip` goes to whoever includes the transaction."""

    total: int
    tip: int


def offer(base_fee: int, suggested_tip: int, caps: FeeCaps) -> Fees | None:
    """An offer that stays good while the base fee doubles, within the caps; None if the base fee alone is over them."""
    if base_fee >= caps.total:
        return None
    tip = min(suggested_tip, caps.tip, caps.total - base_fee)
    return Fees(total=min(2 * base_fee + tip, caps.total), tip=tip)


def raised(last: Fees, now: Fees, caps: FeeCaps) -> Fees | None:
    """The offer that may replace `last`: an eighth above it, or `now` if that is more. None if the caps forbid it."""
    total, tip = (max(old + old // _RAISE + 1, new) for old, new in ((last.total, now.total), (last.tip, now.tip)))
    if total > caps.total or tip > caps.tip:
        return None
    return Fees(total=max(total, tip), tip=tip)
