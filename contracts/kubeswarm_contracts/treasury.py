"""Rewards: pools that pay for attested rounds, what Nodes settle with them, what accounts fetch."""

from typing import Any, Literal

from eth_utils.crypto import keccak
from pydantic import Field

from kubeswarm_api.base import Model
from kubeswarm_api.encoding import from_hex, to_hex
from kubeswarm_api.records import Address, Digest
from kubeswarm_contracts.abi import interface
from kubeswarm_contracts.chain import NOBODY, POLICIES, Chain
from kubeswarm_contracts.errors import ChainRejected
from kubeswarm_contracts.transactor import Transactor, TxResult

UNITS: tuple[Literal["round", "millionTokens"], ...] = ("round", "millionTokens")
#: As Treasury.SETTLING_PERIOD, in seconds.
SETTLING_PERIOD = 30 * 86400

_SWARMS = interface("SwarmRegistry")
_TREASURY = interface("Treasury")


class PoolTerms(Model):
    """What a pool pays: `rate` of `token` (zero address: ether, in wei) a unit, `window` seconds after the attestation.

    `verifier`: the contract that must accept the rounds first; the zero address where Nodes are taken at their word.
    """

    swarm_id: Digest
    token: Address = NOBODY
    unit: Literal["round", "millionTokens"] = "round"
    rate: int = Field(ge=1, lt=2**128)
    window: int = Field(default=0, ge=0, le=30 * 86400)
    verifier: Address = NOBODY


class Pool(Model):
    """A pool as the chain has it. `escrow`: what it can still pay. `stopped_at`: None while it runs. Unix seconds."""

    id: Digest
    owner: Address
    terms: PoolTerms
    escrow: int
    opened_at: int
    stopped_at: int | None


class Settled(Model):
    """One attestation that was settled: of `due` the owner was credited with `amount`."""

    pool_id: Digest
    node_id: Address
    uid: Digest
    owner: Address
    last_round: int
    due: int
    amount: int


def pool_id(owner: Address, salt: bytes) -> Digest:
    """The id of the pool that `owner` opens with a salt of 32 bytes."""
    return to_hex(keccak(from_hex(owner, 20).rjust(32, b"\0") + salt))


class Treasury:
    """The treasury of a chain. Methods raise ChainUnreachable and ChainRejected; those that take a transactor send."""

    def __init__(self, chain: Chain) -> None:
        if chain.deployment.treasury is None:
            raise ChainRejected("NotDeployed", f"the deployment on chain {chain.deployment.chain_id} has no treasury")
        self._chain, self.address = chain, chain.deployment.treasury

    def pool(self, pool_id: Digest) -> Pool | None:
        """The pool with this id; None if there is none."""
        found = self._chain.read(self.address, _TREASURY, "poolOf", from_hex(pool_id))
        owner, opened, token, stopped, verifier, unit, window, rate, escrow, swarm_id = found
        if owner == NOBODY:
            return None
        terms = PoolTerms(
            swarm_id=to_hex(swarm_id), token=token, unit=UNITS[unit], rate=rate, window=window, verifier=verifier
        )
        return Pool(id=pool_id, owner=owner, terms=terms, escrow=escrow, opened_at=opened, stopped_at=stopped or None)

    def pools(self, swarm_id: Digest, from_block: int = 0) -> list[Pool]:
        """All pools for a swarm, whoever opened them, in the order of their opening. From the events."""
        opened = self._chain.logs(self.address, [_TREASURY.topic("PoolOpened"), None, swarm_id], from_block)
        found = [self.pool(log["topics"][1]) for log in opened]
        return [pool for pool in found if pool is not None]

    def budget(self, swarm_id: Digest) -> Pool | None:
        """The pool that is a swarm's budget; None if it was created without one, or is not there."""
        swarm = self._chain.swarm(swarm_id)
        found = None if swarm is None else self.pool(pool_id(swarm.owner, from_hex(swarm_id)))
        return found if found is not None and found.terms.swarm_id == swarm_id else None

    def settled_round(self, pool_id: Digest, node_id: Address) -> int:
        """The last round of a Node that was settled with a pool."""
        return self._chain.read(self.address, _TREASURY, "settledRound", from_hex(pool_id), int(node_id, 16))

    def claimable(self, account: Address, token: Address = NOBODY) -> int:
        """What the account may fetch now, in the token's smallest part."""
        return self._chain.read(self.address, _TREASURY, "claimable", token, account)

    def settlements(self, pool_id: Digest, from_block: int = 0) -> list[Settled]:
        """What was settled with a pool from a block on, in the chain's order, from the events."""
        topics = [_TREASURY.topic("RoundsSettled"), pool_id]
        return [_settled(log) for log in self._chain.logs(self.address, topics, from_block)]

    def create_swarm(
        self,
        transactor: Transactor,
        salt: bytes,
        config: bytes,
        terms: PoolTerms,
        amount: int,
        policy: Literal["open", "invited"] = "open",
        uri: str = "",
    ) -> TxResult | None:
        """Creates the swarm `swarm_id(account.address, salt)`, which `terms` name, with `amount` as its budget.

        Both at once or neither. Ether is sent along; a token the treasury must be allowed to take. None, and nothing
        is sent, if the swarm is there already, with or without a budget. `salt`, `config`: 32 bytes each.
        """
        if self._chain.swarm(terms.swarm_id) is not None:
            return None
        no_stakes, budget = (NOBODY, 0), (self.address, _values(terms), amount)
        call = _SWARMS.call("createFundedSwarm", salt, config, POLICIES.index(policy), no_stakes, uri, budget)
        return transactor.call(self._chain.deployment.swarm_registry, call, amount if terms.token == NOBODY else 0)

    def open_pool(self, transactor: Transactor, salt: bytes, terms: PoolTerms) -> TxResult | None:
        """Opens the pool `pool_id(account, salt)`; None if it is there already. `salt`: 32 bytes."""
        if self.pool(pool_id(transactor.account.address, salt)) is not None:
            return None
        return self._send(transactor, "openPool", salt, _values(terms))

    def fund(self, transactor: Transactor, pool_id: Digest, amount: int, *, ether: bool) -> TxResult:
        """Puts money into a pool: `ether` sent along, or a token that the treasury was allowed to take."""
        return self._send(transactor, "fund", from_hex(pool_id), amount, value=amount if ether else 0)

    def settle(
        self, transactor: Transactor, pool_id: Digest, node_id: Address, uid: Digest, minimum: int = 0
    ) -> TxResult:
        """Settles one attestation of a Node that the account controls, earlier ones first.

        `minimum`: refuse less, which the escrow may force. Raises ChainRejected also if there is no such attestation.
        """
        batch = self._chain.batch(uid)
        if batch is None:
            raise ChainRejected("NotAttested", f"there is no attestation {uid} of this swarm's schema", {"uid": uid})
        root = from_hex(batch.data.records_root)
        arguments = (from_hex(pool_id), int(node_id, 16), from_hex(uid), root, batch.arguments(), minimum)
        return self._send(transactor, "settle", *arguments)

    def claim(self, transactor: Transactor, token: Address = NOBODY) -> TxResult:
        """Fetches all that the account is credited with in a token."""
        return self._send(transactor, "claim", token)

    def claim_to(self, transactor: Transactor, to: Address, token: Address = NOBODY) -> TxResult:
        """Has all that the account is credited with in a token sent to another."""
        return self._send(transactor, "claimTo", token, to)

    def stop(self, transactor: Transactor, pool_id: Digest) -> TxResult:
        """Stops a pool of the account for rounds attested later."""
        return self._send(transactor, "stop", from_hex(pool_id))

    def reclaim(self, transactor: Transactor, pool_id: Digest) -> TxResult:
        """Credits the account with what remains in a pool of its that was stopped long enough ago."""
        return self._send(transactor, "reclaim", from_hex(pool_id))

    def _send(self, transactor: Transactor, function: str, *arguments: Any, value: int = 0) -> TxResult:
        return transactor.call(self.address, _TREASURY.call(function, *arguments), value)


def _values(terms: PoolTerms) -> tuple[Any, ...]:
    """As the contract takes them."""
    unit = UNITS.index(terms.unit)
    return from_hex(terms.swarm_id), terms.token, unit, terms.rate, terms.window, terms.verifier


def _settled(log: dict[str, Any]) -> Settled:
    values = _TREASURY.event("RoundsSettled", log)
    return Settled(
        pool_id=to_hex(values["poolId"]),
        node_id=f"0x{values['nodeId']:040x}",
        uid=to_hex(values["uid"]),
        owner=values["owner"],
        last_round=values["lastRound"],
        due=values["due"],
        amount=values["amount"],
    )
