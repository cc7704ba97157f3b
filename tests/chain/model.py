"""The rules of rounds and rewards in plain Python, written from the issue and not from the Solidity.

Each step returns what the chain must answer: None where it takes the step, else the error's name and, where the rules
fix them, its arguments. Times are Unix seconds, amounts wei.
"""

from collections import defaultdict
from dataclasses import dataclass, field

MILLION = 10**6
SETTLING_PERIOD = 30 * 86400

#: An error's name and the arguments that the rules fix.
Refusal = tuple[str, dict[str, int]]


@dataclass
class Pool:
    """Money and terms. `by_tokens`: the rate is for a million tokens, else for a round. `ours`: of the Nodes' swarm."""

    rate: int
    window: int
    by_tokens: bool
    opened: int
    escrow: int = 0
    stopped: int | None = None
    ours: bool = True


@dataclass(frozen=True)
class Attested:
    """Rounds `first` to `last` of a Node, taken at `time`."""

    node: int
    first: int
    last: int
    tokens: int
    time: int


@dataclass
class Model:
    """A swarm's Nodes, its attestations, its pools and other swarms' budgets.

    Accounts: Nodes by number, pools' owners by -1 - number.
    """

    pools: list[Pool]
    members: set[int]
    rounds: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    attestations: list[Attested] = field(default_factory=list)
    settled: dict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))
    credit: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    put_in: int = 0
    fetched: int = 0

    def attest(self, node: int, first: int, last: int, tokens: int, time: int) -> Refusal | None:
        if node not in self.members:
            return "NotMember", {}
        if first != self.rounds[node] + 1:
            return "UnexpectedRound", {"expected": self.rounds[node] + 1, "firstRound": first}
        self.rounds[node] = last
        self.attestations.append(Attested(node, first, last, tokens, time))
        return None

    def create(self, budget: Pool, amount: int) -> Refusal | None:
        """Another swarm with a budget, which is the next pool."""
        if amount == 0:
            return "NothingReceived", {}
        self.pools.append(budget)
        return self.fund(len(self.pools) - 1, amount)

    def fund(self, pool: int, amount: int) -> Refusal | None:
        if self.pools[pool].stopped is not None:
            return "PoolIsStopped", {"stoppedAt": self.pools[pool].stopped or 0}
        if amount == 0:
            return "NothingReceived", {}
        self.pools[pool].escrow += amount
        self.put_in += amount
        return None

    def settle(self, pool: int, what: Attested, sender: int, minimum: int, time: int) -> Refusal | None:
        terms = self.pools[pool]
        if sender != what.node:
            return "NotInControl", {}
        if not terms.ours:
            return "NotAttested", {}
        if what.time < terms.opened or (terms.stopped is not None and what.time > terms.stopped):
            return "OutsidePool", {}
        if time < what.time + terms.window:
            return "WindowOpen", {"until": what.time + terms.window}
        if what.first <= self.settled[pool, what.node]:
            return "AlreadySettled", {"round": self.settled[pool, what.node]}
        units = what.tokens if terms.by_tokens else what.last - what.first + 1
        due = units * terms.rate // (MILLION if terms.by_tokens else 1)
        amount = min(due, terms.escrow)
        if amount < minimum:
            return "EscrowShort", {"due": due, "escrow": terms.escrow}
        self.settled[pool, what.node] = what.last
        terms.escrow -= amount
        self.credit[what.node] += amount
        return None

    def claim(self, account: int) -> Refusal | None:
        if not self.credit[account]:
            return "NothingToClaim", {}
        self.fetched += self.credit.pop(account)
        return None

    def stop(self, pool: int, sender: int, time: int) -> Refusal | None:
        if sender != -1 - pool:
            return "NotPoolOwner", {}
        if self.pools[pool].stopped is not None:
            return "PoolIsStopped", {}
        self.pools[pool].stopped = time
        return None

    def reclaim(self, pool: int, sender: int, time: int) -> Refusal | None:
        terms = self.pools[pool]
        if sender != -1 - pool:
            return "NotPoolOwner", {}
        if terms.stopped is None or time < terms.stopped + terms.window + SETTLING_PERIOD:
            return "NotReclaimable", {}
        self.credit[sender] += terms.escrow
        terms.escrow = 0
        return None

    def eject(self, node: int) -> Refusal | None:
        if node not in self.members:
            return "WrongStanding", {}
        self.members.remove(node)
        return None
