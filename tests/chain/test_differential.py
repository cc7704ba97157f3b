"""The contracts on anvil beside a model in Python: any sequence of steps leads to the same answers and the same money.

Hypothesis draws the steps and shrinks what differs. KUBESWARM_EXAMPLES sets how many sequences (`make test-long`).
"""

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from kubeswarm_api.encoding import digest, from_hex, to_hex
from kubeswarm_api.records import NO_DIGEST, Digest
from kubeswarm_contracts import (
    AttestationData,
    ChainRejected,
    PoolTerms,
    Transactor,
    Treasury,
    TxResult,
    pool_id,
    swarm_id,
)
from kubeswarm_contracts.account import Account
from kubeswarm_contracts.deploy import DEVELOPMENT_KEY, deploy
from tests.chain.conftest import Anvil
from tests.chain.model import SETTLING_PERIOD, Attested, Model, Pool, Refusal

EXAMPLES = int(os.environ.get("KUBESWARM_EXAMPLES", "8"))
NODES, SINK = 3, "0x" + 40 * "5"
#: Rate, window, and whether the rate is for a million tokens: enough for some pools to run short.
POOLS = ((1000, 0, False), (70_000_001, 600, True))
#: The most swarms with budgets that are created beside.
BUDGETS = 2
SALT, ROOT = digest(b"differential"), to_hex(digest(b"root"))

nodes = st.integers(0, NODES - 1)
pools = st.integers(0, len(POOLS) + BUDGETS - 1)


class Stage:
    """An anvil with a swarm, its Nodes and pools: each sequence begins from the same block of it."""

    def __init__(self, anvil: Anvil) -> None:
        self.anvil, self.chain = anvil, anvil.chain
        self.treasury = Treasury(anvil.chain)
        self.nodes = [anvil.transactor() for _ in range(NODES)]
        self.owners = [anvil.transactor() for _ in range(len(POOLS) + BUDGETS)]
        self.owners[0].create_swarm(SALT, digest(b"config"))
        self.swarm: Digest = swarm_id(self.owners[0].account.address, SALT)
        for node in self.nodes:
            node.register()
            node.join(self.swarm, node.account.address)
        # From here on each block is a second after the one before, so that the model knows its time.
        anvil.rpc("anvil_setBlockTimestampInterval", 1)
        self.pools = [pool_id(owner.account.address, SALT) for owner in self.owners[: len(POOLS)]]
        self.model_pools = [self._open(number) for number in range(len(POOLS))]
        self.snapshot: str = anvil.rpc("evm_snapshot")

    def restart(self) -> None:
        assert self.anvil.rpc("evm_revert", self.snapshot)
        self.snapshot = self.anvil.rpc("evm_snapshot")

    def account(self, number: int) -> Transactor:
        """A Node's, or for -1 - n the owner of pool n."""
        return self.nodes[number] if number >= 0 else self.owners[-1 - number]

    def _open(self, number: int) -> Pool:
        rate, window, by_tokens = POOLS[number]
        unit = "millionTokens" if by_tokens else "round"
        terms = PoolTerms(swarm_id=self.swarm, rate=rate, window=window, unit=unit)
        self.treasury.open_pool(self.owners[number], SALT, terms)
        return Pool(rate, window, by_tokens, self.chain.clock())


def machine(stage: Stage) -> type[RuleBasedStateMachine]:
    """The steps, on this stage."""

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            stage.restart()
            self.model = Model([Pool(**vars(pool)) for pool in stage.model_pools], set(range(NODES)))
            self.pools = list(stage.pools)
            self.uids: list[Digest] = []
            self.clock = stage.chain.clock()

        def same(self, expected: Refusal | None, call: Callable[..., TxResult | None], *arguments, **options):
            """Makes the call: the chain takes it where the model does, and else refuses it for the same reason."""
            try:
                result = call(*arguments, **options)
            except ChainRejected as refused:
                assert expected is not None, f"the chain refuses what the model takes: {refused}"
                name, fixed = expected
                assert (refused.reason, refused.arguments | fixed) == (name, refused.arguments)
                return None
            assert expected is None, f"the chain takes what the model refuses: {expected}"
            self.clock += 1
            return result

        @rule(
            node=nodes, skip=st.sampled_from([0, 0, 0, 0, -1, 1]), length=st.integers(1, 9), tokens=st.integers(0, 5000)
        )
        def attest(self, node: int, skip: int, length: int, tokens: int) -> None:
            done = self.model.rounds[node]
            first = max(1, done + 1 + skip)
            previous = NO_DIGEST if first == 1 else to_hex(digest(f"head {node} {first - 1}".encode()))
            account, last = stage.nodes[node], first + length - 1
            data = AttestationData(
                swarm_id=stage.swarm, node_id=account.account.address, first_round=first, last_round=last,
                records_root=ROOT, previous=previous, head=to_hex(digest(f"head {node} {last}".encode())),
                model=NO_DIGEST, samples=0, tokens=tokens, reward=0,
            )  # fmt: skip
            result = self.same(self.model.attest(node, first, last, tokens, self.clock + 1), account.attest, data)
            if result is not None:
                assert result.uid is not None
                self.uids.append(result.uid)

        @precondition(lambda self: len(self.pools) < len(stage.owners))
        @rule(amount=st.sampled_from([0, 1, 20_000]))
        def create(self, amount: int) -> None:
            owner = stage.owners[len(self.pools)]
            swarm = swarm_id(owner.account.address, SALT)
            expected = self.model.create(Pool(1000, 0, False, self.clock + 1, ours=False), amount)
            terms = PoolTerms(swarm_id=swarm, rate=1000)
            result = self.same(expected, stage.treasury.create_swarm, owner, SALT, digest(b"config"), terms, amount)
            if result is not None:
                self.pools.append(pool_id(owner.account.address, from_hex(swarm)))

        @rule(pool=pools, amount=st.integers(0, 20_000))
        def fund(self, pool: int, amount: int) -> None:
            pool %= len(self.pools)
            expected, owner = self.model.fund(pool, amount), stage.owners[pool]
            self.same(expected, stage.treasury.fund, owner, self.pools[pool], amount, ether=True)

        @precondition(lambda self: self.uids)
        @rule(pool=pools, data=st.data(), stranger=st.sampled_from([0, 0, 0, 1]), minimum=st.sampled_from([0, 0, 3000]))
        def settle(self, pool: int, data: st.DataObject, stranger: int, minimum: int) -> None:
            pool %= len(self.pools)
            which = data.draw(st.integers(0, len(self.uids) - 1))
            what: Attested = self.model.attestations[which]
            sender = (what.node + stranger) % NODES
            self.avoid(what.time + self.model.pools[pool].window)
            expected = self.model.settle(pool, what, sender, minimum, self.clock + 1)
            node = stage.nodes[what.node].account.address
            self.same(
                expected, stage.treasury.settle, stage.nodes[sender], self.pools[pool], node, self.uids[which], minimum
            )

        @rule(account=st.integers(-len(POOLS) - BUDGETS, NODES - 1))
        def claim(self, account: int) -> None:
            self.same(self.model.claim(account), stage.treasury.claim_to, stage.account(account), SINK)

        @rule(pool=pools, sender=st.sampled_from([-1, -1, -2, -3, 0]))
        def stop(self, pool: int, sender: int) -> None:
            pool %= len(self.pools)
            expected = self.model.stop(pool, sender, self.clock + 1)
            self.same(expected, stage.treasury.stop, stage.account(sender), self.pools[pool])

        @rule(pool=pools, stranger=st.booleans())
        def reclaim(self, pool: int, stranger: bool) -> None:
            pool %= len(self.pools)
            sender = 0 if stranger else -1 - pool
            terms = self.model.pools[pool]
            self.avoid((terms.stopped or 0) + terms.window + SETTLING_PERIOD)
            expected = self.model.reclaim(pool, sender, self.clock + 1)
            self.same(expected, stage.treasury.reclaim, stage.account(sender), self.pools[pool])

        @rule(node=nodes)
        def eject(self, node: int) -> None:
            address = stage.nodes[node].account.address
            self.same(self.model.eject(node), stage.owners[0].eject, stage.swarm, address, "")

        @rule(seconds=st.sampled_from([1, 300, 599, 86400, 30 * 86400]))
        def wait(self, seconds: int) -> None:
            self.advance(seconds)

        def advance(self, seconds: int) -> None:
            stage.anvil.rpc("evm_setNextBlockTimestamp", self.clock + seconds)
            stage.anvil.rpc("evm_mine")
            self.clock += seconds

        def avoid(self, time: int) -> None:
            """Lets pass the one second in which the client's estimate, made by the last block's time, differs."""
            if self.clock + 1 == time:
                self.advance(1)

        @invariant()
        def the_chain_says_the_same(self) -> None:
            assert stage.chain.clock() == self.clock
            held = sum(pool.escrow for pool in self.model.pools) + sum(self.model.credit.values())
            assert stage.chain.balance(stage.treasury.address) == held == self.model.put_in - self.model.fetched
            assert stage.chain.balance(SINK) == self.model.fetched
            for number, pool in enumerate(self.model.pools):
                found = stage.treasury.pool(self.pools[number])
                assert found is not None
                assert (found.escrow, found.stopped_at) == (pool.escrow, pool.stopped)
            for node in range(NODES):
                address = stage.nodes[node].account.address
                assert stage.chain.next_round(stage.swarm, address) == self.model.rounds[node] + 1
                assert stage.treasury.claimable(address) == self.model.credit[node]
                for number, identifier in enumerate(self.pools):
                    assert stage.treasury.settled_round(identifier, address) == self.model.settled[number, node]

    return Machine


@pytest.fixture
def stage(start_anvil: Callable[..., Anvil]) -> Stage:
    anvil = start_anvil()
    list(deploy(anvil.chain, Account(DEVELOPMENT_KEY)))
    return Stage(anvil)


def test_the_contracts_do_what_the_model_does(stage: Stage) -> None:
    run_state_machine_as_test(
        machine(stage),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=30,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
            print_blob=True,
        ),
    )
