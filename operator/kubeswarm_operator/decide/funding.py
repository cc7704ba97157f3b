"""Which Nodes' keys get gas money from the operator's account, and how much."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from kubeswarm_api.operator_config import Funding

WEI = 10**18


@dataclass(frozen=True)
class TopUps:
    """Transfers in wei by address, and the keys that need money and don't get it."""

    transfers: tuple[tuple[str, int], ...]
    unfunded: tuple[str, ...]


def to_wei(ether: str) -> int:
    """An amount in ether, as a decimal string, in wei."""
    return int(Decimal(ether) * WEI)


def top_ups(balances: Mapping[str, int], available: int, spent_today: int, funding: Funding) -> TopUps:
    """Keys under the minimum are filled to the target, the poorest first, within the daily budget and what the
    account has. A key gets all of its sum or nothing."""
    minimum, target = to_wei(funding.minimum), to_wei(funding.target)
    left = min(available, to_wei(funding.daily_budget) - spent_today)
    transfers: list[tuple[str, int]] = []
    unfunded: list[str] = []
    for address, balance in sorted(balances.items(), key=lambda item: (item[1], item[0])):
        if balance >= minimum or target <= balance:
            continue
        amount = target - balance
        if amount <= left:
            transfers.append((address, amount))
            left -= amount
        else:
            unfunded.append(address)
    return TopUps(tuple(transfers), tuple(unfunded))
