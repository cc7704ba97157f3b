"""The attestor's work: register the Node's key, join the Swarm, bring every finished round to the chain, once.

The chain is the only memory. Each pass looks at what it has and sends what it lacks, so that being killed anywhere, a
chain that was away or went back some blocks, or another process with the same key change nothing of the outcome: the
resolver takes a Node's next round only. Training never waits for any of this.
"""

import logging
import threading
import time
from dataclasses import dataclass

from kubeswarm_api import metrics as names
from kubeswarm_api.conditions import Reason
from kubeswarm_api.errors import InvalidRecord
from kubeswarm_api.node_config import ChainConfig, NodeConfig
from kubeswarm_api.records import Address
from kubeswarm_api.reports import AttestorReport, Problem
from kubeswarm_contracts import (
    MAX_ROUNDS,
    AttestationData,
    ChainError,
    ChainTimeout,
    ChainUnreachable,
    FeeAboveCap,
    KeyUnfunded,
    SignerUnreachable,
    Transactor,
    TxResult,
)
from kubeswarm_contracts.sending import Reached, nothing
from kubeswarm_workers.attest.decide import Attest, decide
from kubeswarm_workers.attest.spool import Spool
from kubeswarm_workers.metrics import Registry

log = logging.getLogger(__name__)

WEI = 10**18
#: Room for fewer records than this on the Node's volume (64 MiB) is told before there is none.
SCARCE_RECORDS = 16_384
#: The steps of a pass. Between them come those of sending, for each transaction.
LOOP_POINTS = ("looked", "registered", "joined", "read", "attested", "accounted")


@dataclass(frozen=True)
class Pace:
    """Seconds between looks at the spool, and at the chain while nothing is due; between attempts while something is
    wrong, doubling from the first to the last."""

    spool: float = 1.0
    chain: float = 5.0
    first_retry: float = 1.0
    last_retry: float = 5.0


class Obstacle(Exception):
    """What stands in the way now, for the report. `reason` is one of `conditions.Reason`."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass
class View:
    """What the chain said last, and when (by the monotonic clock)."""

    next_round: int
    at: float


class Attestor:
    """One Node's attestor. `run` belongs to one thread; `report` may be read from any.

    The report's attestations and gas are those of this process: the chain has all of them.
    """

    def __init__(
        self,
        config: NodeConfig,
        chain: ChainConfig,
        transactor: Transactor,
        node_id: Address,
        spool: Spool,
        pace: Pace | None = None,
        reached: Reached = nothing,
    ) -> None:
        self._pace, self._reached = pace or Pace(), reached
        self._config, self._chain_config = config, chain
        self._transactor, self._chain, self._node_id = transactor, transactor.chain, node_id
        self._spool = spool
        self._view: View | None = None
        self._retry = self._pace.first_retry
        self.deployment = self._chain.deployment
        self.metrics = Registry()
        self.report = AttestorReport(node_id=node_id, address=transactor.account.address)
        for gauge in (names.SPOOLED_ROUNDS, names.PENDING_ROUNDS, names.ATTESTED_ROUNDS, names.ATTESTOR_BALANCE):
            self.metrics.gauge(gauge).set(0)

    def run(self, stop: threading.Event) -> None:
        """Works until `stop` is set, then makes a last attempt to bring what is pending to the chain."""
        while not stop.is_set():
            stop.wait(self.attempt(flush=False))
        self._view = None
        self.attempt(flush=True)

    def attempt(self, flush: bool) -> float:
        """One pass. Returns the seconds until the next one; what went wrong is in the report, the log and a metric."""
        try:
            done = self._pass(flush)
            obstacle = None
        except Exception as error:  # an endpoint may answer anything: whatever comes of it, the next pass starts afresh
            done, obstacle = False, _obstacle(error)
            self._view = None
        self._show(obstacle)
        if obstacle is None:
            self._retry = self._pace.first_retry
            return 0.0 if done else self._pace.spool
        delay, self._retry = self._retry, min(2 * self._retry, self._pace.last_retry)
        return delay

    def _pass(self, flush: bool) -> bool:
        """Returns whether something was sent, so that it is worth looking again at once."""
        self._spool.advance()
        # Before the chain is asked: it must grow while no answer comes.
        self.metrics.gauge(names.PENDING_SECONDS).set(self._spool.age(self.report.attested_rounds + 1))
        if self._view is None or time.monotonic() - self._view.at >= self._pace.chain:
            self._look()
        if self._due(flush) is None:
            self._check_spool()
            return False
        # What is due by an older view may be done already, or undone.
        self._look()
        due = self._due(flush)
        if due is not None:
            self._attest(due)
        return due is not None

    def _due(self, flush: bool) -> Attest | None:
        assert self._view is not None
        next_round, last = self._view.next_round, self._spool.last
        age = self._spool.age(next_round)
        finished = last >= self._config.training.rounds
        choice = decide(next_round, last, age, self._config.attest, flush or finished, MAX_ROUNDS)
        return choice if isinstance(choice, Attest) else None

    def _look(self) -> None:
        """Reads where the Node stands on the chain; registers and joins where it does not yet."""
        chain = self._chain
        found = chain.chain_id()
        if found != self._chain_config.chain_id:
            raise Obstacle(
                Reason.CHAIN_REJECTED, f"chain.url leads to chain {found} instead of {self._chain_config.chain_id}"
            )
        self.metrics.gauge(names.ATTESTOR_BALANCE).set(chain.balance(self.report.address) / WEI)
        self._register()
        self._join()
        next_round = chain.next_round(self._config.swarm_id, self._node_id)
        if next_round <= self.report.attested_rounds:
            log.warning("the chain went back", extra={"from": self.report.attested_rounds, "to": next_round - 1})
        self._update(attested_rounds=next_round - 1)
        self._view = View(next_round, time.monotonic())
        self._reached("looked")

    def _register(self) -> None:
        key, own = self._chain.key_of(self._node_id), self.report.address
        if key is None and own == self._node_id:
            self._spent(self._transactor.register(), "registered")
            self._reached("registered")
        elif key != own:
            self._update(registered=False)
            raise Obstacle(
                Reason.CHAIN_REJECTED,
                f"node {self._node_id} has {f'the key {key}' if key else 'no key'} on the chain, this pod that of "
                f"{own}: rotate the Node to it (setAgentWallet), or give this pod the key that it has",
            )
        self._update(registered=True)

    def _join(self) -> None:
        swarm_id = self._config.swarm_id
        if not self._chain.is_member(swarm_id, self._node_id):
            self._update(joined=False)
            if self._chain.swarm(swarm_id) is None:
                raise Obstacle(
                    Reason.SWARM_NOT_FOUND,
                    f"swarm {swarm_id} is not on the chain yet: its operator creates it; rounds wait in the spool",
                )
            self._spent(self._transactor.join(swarm_id, self._node_id), "joined")
            self._reached("joined")
        self._update(joined=True)

    def _attest(self, rounds: Attest) -> None:
        data = AttestationData.of(self._spool.read(rounds.first, rounds.last))
        self._reached("read")
        result = self._transactor.attest(data)
        self._reached("attested")
        self._spent(result, "attested", first=rounds.first, last=rounds.last, uid=result.uid)
        self.metrics.counter(names.ATTESTATIONS).inc()
        self._update(attested_rounds=rounds.last, attestations=self.report.attestations + 1)
        self._view = None
        self._reached("accounted")

    def _check_spool(self) -> None:
        if self._spool.damage is not None:
            raise Obstacle(
                Reason.SPOOL_DAMAGED,
                f"rounds after {self._spool.last} can't be attested: {self._spool.damage}; "
                "restore the Node's volume from before the damage",
            )
        if self._spool.last < self.report.attested_rounds:
            raise Obstacle(
                Reason.SPOOL_DAMAGED,
                f"the chain has {self.report.attested_rounds} rounds of this Node, its volume {self._spool.last}: "
                "those that are trained again do not count twice",
            )

    def _spent(self, result: TxResult | None, what: str, **more: object) -> None:
        """Accounts for a transaction; None stands for one that was not needed."""
        if result is not None:
            self.metrics.counter(names.ATTESTOR_GAS).inc(result.gas_used)
            self._update(gas_used=self.report.gas_used + result.gas_used)
            log.info(what, extra={"tx": result.tx_hash, "block": result.block, "gas": result.gas_used, **more})

    def _show(self, obstacle: Obstacle | None) -> None:
        obstacle = self._scarce(obstacle)
        problem = Problem(reason=obstacle.reason, message=str(obstacle)) if obstacle else None
        if problem is not None:
            self.metrics.counter(names.ATTESTOR_ERRORS).labels(problem.reason).inc()
        if problem != self.report.problem:
            if problem is None:
                log.info("nothing is in the way any more")
            else:
                log.warning("can't attest now", extra={"reason": problem.reason, "cause": problem.message})
        self._update(problem=problem, spooled_rounds=self._spool.last)
        attested = self.report.attested_rounds
        self.metrics.gauge(names.SPOOLED_ROUNDS).set(self._spool.last)
        self.metrics.gauge(names.ATTESTED_ROUNDS).set(attested)
        self.metrics.gauge(names.PENDING_ROUNDS).set(max(0, self._spool.last - attested))

    def _scarce(self, obstacle: Obstacle | None) -> Obstacle | None:
        """Adds to what is in the way that the volume fills, so that it is known before records find no room."""
        try:
            room = self._spool.room()
        except OSError as error:
            return obstacle or _obstacle(error)
        self.metrics.gauge(names.SPOOL_ROOM).set(room)
        if room >= SCARCE_RECORDS:
            return obstacle
        text = f"the Node's volume has room for {room} more records: make it larger, or keep fewer checkpoints"
        if obstacle is None:
            return Obstacle(Reason.SPOOL_FILLING, text)
        return Obstacle(obstacle.reason, f"{obstacle}; {text}")

    def _update(self, **fields: object) -> None:
        self.report = self.report.model_copy(update=fields)


def _obstacle(error: Exception) -> Obstacle:
    match error:
        case Obstacle():
            return error
        case KeyUnfunded():
            return Obstacle(Reason.KEY_UNFUNDED, str(error))
        case FeeAboveCap():
            return Obstacle(Reason.FEE_ABOVE_CAP, str(error))
        case SignerUnreachable():
            return Obstacle(Reason.SIGNER_UNREACHABLE, str(error))
        case ChainUnreachable() | ChainTimeout():
            return Obstacle(Reason.CHAIN_UNREACHABLE, str(error))
        case ChainError():
            return Obstacle(Reason.CHAIN_REJECTED, str(error))
        case OSError() | InvalidRecord():
            return Obstacle(Reason.SPOOL_DAMAGED, f"the spool can't be read: {error}")
        case _:
            log.error("an attempt failed in an unforeseen way", exc_info=error)
            return Obstacle(Reason.CHAIN_REJECTED, f"{type(error).__name__}: {error}; the attestor's log has more")
