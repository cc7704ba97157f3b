"""Which Nodes' keys get gas money from the operator's account, and how much."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from kubeswarm_api.operator_config import Funding

WEI = 10**18
DAY_SECONDS = 86400


@dataclass(frozen=True)
class Booking:
    """A transfer to a Node's key: when (Unix seconds), and how much."""

    at: int
    wei: int


@dataclass(frozen=True)
class TopUps:
    """Transfers in wei by address, and the keys that need money and don't get it."""

    transfers: tuple[tuple[str, int], ...]
    unfunded: tuple[str, ...]


def recent(bookings: Iterable[Booking], now: float) -> tuple[Booking, ...]:
    """Those of the last 24 hours; one from the future, as after a clock was set back, counts too."""
    return tuple(booking for booking in bookings if now - booking.at < DAY_SECONDS)


def to_wei(ether: str) -> int:
    """An amount in ether, as a decimal string, in wei."""
    return int(Decimal(ether) * WEI)


def wanting(balances: Mapping[str, int], funding: Funding) -> list[str]:
    """The keys under the minimum, the poorest first."""
    minimum = min(to_wei(funding.minimum), to_wei(funding.target))
    return sorted((each for each in balances if balances[each] < minimum), key=lambda each: (balances[each], each))


def top_ups(balances: Mapping[str, int], available: int, spent_today: int, funding: Funding) -> TopUps:
    """Keys under the minimum are filled to the target, the poorest first, within the daily budget and what the
    account has. A key gets all of its sum or nothing."""
    target = to_wei(funding.target)
    left = min(available, to_wei(funding.daily_budget) - spent_today)
    transfers: list[tuple[str, int]] = []
    unfunded: list[str] = []
    for address in wanting(balances, funding):
        amount = target - balances[address]
        if amount <= left:
            transfers.append((address, amount))
            left -= amount
        else:
            unfunded.append(address)
    return TopUps(tuple(transfers), tuple(unfunded))
