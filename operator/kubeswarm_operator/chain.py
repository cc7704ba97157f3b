"""The chain: a cached view of it for passes; Swarms are created on it and Nodes' keys funded. Training never waits.

All calls to the chain are made in a thread, one round after the other. What stands here can be rebuilt from the chain
at any time, but for what Nodes' keys were sent in the last 24 hours: see spending.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from kubeswarm_api.conditions import Reason
from kubeswarm_api.errors import InvalidConfig
from kubeswarm_api.failures import FAILURES
from kubeswarm_api.node_config import ChainConfig
from kubeswarm_api.operator_config import ChainSettings, IndexerSettings
from kubeswarm_api.records import Address, Digest
from kubeswarm_contracts import (
    Account,
    Chain,
    ChainError,
    ChainUnreachable,
    FeeCaps,
    SwarmInfo,
    Transactor,
    deployment,
)
from kubeswarm_contracts.run_log import RunLog
from kubeswarm_operator.decide.funding import WEI, top_ups, wanting
from kubeswarm_operator.observe.snapshot import ChainFacts
from kubeswarm_operator.spending import Spending, SpendingUnknown

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SwarmTarget:
    """A Swarm of this cluster. `salt`: None for one that another account owns."""

    swarm_id: str
    salt: bytes | None
    config: bytes


@dataclass(frozen=True)
class NodeTarget:
    """A Node of this cluster. `active`: it may still attest and need gas."""

    swarm_id: str
    node_id: str
    active: bool


@dataclass(frozen=True)
class Targets:
    """What the view is to cover."""

    swarms: tuple[SwarmTarget, ...] = ()
    nodes: tuple[NodeTarget, ...] = ()


class Ledger(Protocol):
    """What status is made from: the chain itself, or the log of runs that an indexer keeps of it."""

    def block(self) -> int:
        """How far it is."""
        ...

    def swarm(self, swarm_id: Digest) -> SwarmInfo | None:
        """A swarm; None if there is none."""
        ...

    def next_round(self, swarm_id: Digest, node_id: Address) -> int:
        """The first round of a Node that is not attested."""
        ...


class ChainView:
    """Polls the chain. `facts` is what was seen last."""

    def __init__(
        self,
        settings: ChainSettings | None,
        indexer: IndexerSettings | None,
        targets: Callable[[], Targets],
        changed: Callable[[ChainFacts, ChainFacts], None],
        write_seconds: Callable[[], float],
        spending: Spending,
    ) -> None:
        self._settings = settings
        self._targets = targets
        self._changed = changed
        self._write_seconds = write_seconds
        self._seen: tuple[int, Targets] | None = None
        self._spending = spending
        self._transactor: Transactor | None = None
        self._chain: Chain | None = None
        self._ledger: Ledger | None = None
        self.config: ChainConfig | None = None
        self.facts = ChainFacts()
        self.first = asyncio.Event()  # the chain has answered, or failed to, once
        if settings is not None:
            self._open(settings, indexer)

    def _open(self, settings: ChainSettings, indexer: IndexerSettings | None) -> None:
        """What needs no chain: addresses of contracts, the account. A mistake in them is told in conditions."""
        self.facts = ChainFacts(configured=True)
        try:
            overrides = Path(settings.deployment_file) if settings.deployment_file else None
            contracts = deployment(settings.chain_id, overrides)
            account = Account.from_file(Path(settings.account_key_file))
        except InvalidConfig as error:
            self.facts = _away(self.facts, Reason.CHAIN_REJECTED, str(error))
            return
        self._chain = Chain(settings.url, contracts)
        self._ledger = self._chain if indexer is None else RunLog(indexer.url, settings.chain_id)
        self._transactor = Transactor(self._chain, account, FeeCaps.of(settings.gas))
        self.facts = replace(self.facts, owner=account.address)
        self.config = contracts.config(settings.url, settings.gas)

    async def poll(self) -> None:
        """Looks at the chain for ever; returns at once if there is none."""
        if self._settings is None or self._chain is None or self._ledger is None:
            self.first.set()
            return
        while True:
            before = self.facts
            self.facts = await asyncio.to_thread(self._round, self._chain, self._ledger, self._targets())
            self.first.set()
            if self.facts != before:
                self._changed(before, self.facts)
            await asyncio.sleep(self._settings.poll_seconds)

    def _round(self, chain: Chain, ledger: Ledger, targets: Targets) -> ChainFacts:
        assert self._settings is not None
        facts = replace(self.facts, asked=True, reachable=True, reason="", message="")
        try:
            block = ledger.block()
            if self._seen == (block, targets) and self.facts.reachable:
                return self.facts  # nothing can have changed
            if chain.chain_id() != self._settings.chain_id:
                detail = f"{self._settings.url} is not chain {self._settings.chain_id}"
                return _away(facts, Reason.CHAIN_REJECTED, detail)
            if not chain.has_code(chain.deployment.resolver):
                detail = f"the contracts are not on chain {self._settings.chain_id}: deploy them there"
                return _away(facts, Reason.CHAIN_REJECTED, detail)
            facts = self._swarms(ledger, targets, facts)
            facts = self._rounds(ledger, targets, facts)
            message = self._fund(chain, targets)
            if message and message != self.facts.message:
                log.warning("keys are not funded", extra={"detail": message})
            self._seen = (block, targets)
            return replace(facts, message=message)
        except ChainUnreachable as error:
            return _away(facts, Reason.CHAIN_UNREACHABLE, str(error))
        except ChainError as error:
            log.warning("the chain refused", extra={"detail": str(error)[:300]})
            return _away(facts, Reason.CHAIN_REJECTED, str(error))

    def _swarms(self, ledger: Ledger, targets: Targets, facts: ChainFacts) -> ChainFacts:
        members: dict[str, int] = {}
        for target in targets.swarms:
            found = ledger.swarm(target.swarm_id)
            if found is None and target.salt is not None and self._transactor and self._write_seconds() > 0:
                self._transactor.create_swarm(target.salt, target.config)
                log.info("created a Swarm on the chain", extra={"swarmId": target.swarm_id})
                found = ledger.swarm(target.swarm_id)
            if found is not None:
                members[target.swarm_id] = found.members
        return replace(facts, swarms=frozenset(members), members=members)

    def _rounds(self, ledger: Ledger, targets: Targets, facts: ChainFacts) -> ChainFacts:
        attested: dict[tuple[str, str], int] = {}
        for target in targets.nodes:
            key = (target.swarm_id, target.node_id)
            known = facts.attested.get(key)
            if target.active or known is None:
                attested[key] = ledger.next_round(*key) - 1
            else:
                attested[key] = known
        return replace(facts, attested=attested)

    def _fund(self, chain: Chain, targets: Targets) -> str:
        """Fills keys up; returns what a person should know of keys that it couldn't fill."""
        assert self._settings is not None
        if self._transactor is None or self._write_seconds() <= 0:
            return ""
        keys = {chain.key_of(target.node_id) or target.node_id for target in targets.nodes if target.active}
        if not keys:
            return ""
        balances = {key: chain.balance(key) for key in keys}
        if not wanting(balances, self._settings.funding):
            return ""
        available = chain.balance(self._transactor.account.address)
        try:
            plan = top_ups(balances, available, self._spending.total(), self._settings.funding)
            for address, wei in plan.transfers:
                if self._write_seconds() <= 0:
                    return ""
                self._spending.book(wei)
                self._transactor.transfer(address, wei)
                log.info("funded a key", extra={"address": address, "ether": wei / WEI})
        except SpendingUnknown as error:
            return f"keys need gas and get none before it is known what they got today: {error}"
        if plan.unfunded:
            account = f"{self._transactor.account.address} (balance {available / WEI:.4f})"
            return (
                f"{len(plan.unfunded)} keys need gas and get none: the daily budget is spent or the account {account} "
                "is short; fund it or raise chain.funding.dailyBudget"
            )
        return ""


def _away(facts: ChainFacts, reason: Reason, detail: str) -> ChainFacts:
    """What stays known of a chain that can't be used now."""
    message = f"{detail[:1000]}; training goes on; {FAILURES[reason].remedy}"
    return replace(facts, asked=True, reachable=False, reason=reason, message=message)
