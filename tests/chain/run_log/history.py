"""A history on a real chain with all that a log of runs has to tell, and reorganisations that take parts of it back."""

import random
from typing import Any

from eth_abi.abi import encode

from kubeswarm_api.encoding import digest, to_hex
from kubeswarm_api.records import RoundRecord
from kubeswarm_contracts import (
    AttestationData,
    CampaignTerms,
    Crowdfunding,
    Milestone,
    PoolTerms,
    Transactor,
    Treasury,
    campaign_id,
    node_id,
    pool_id,
    swarm_id,
)
from kubeswarm_contracts.abi import interface
from kubeswarm_contracts.signing import domain

_NODES = interface("NodeRegistry")
#: Text that strangers may put on a chain: no UTF-8, NUL, half a surrogate pair.
HOSTILE = b"\xff\xfe\x00\xed\xa0\x80 \xf0\x9f\x90\x9d"


class History:
    """One Swarm's owner, some Nodes, a sponsor; `act` does one thing at random that the chain may take."""

    def __init__(self, anvil: Any, seed: int, nodes: int = 3) -> None:
        self.anvil, self.chain = anvil, anvil.chain
        self.random = random.Random(seed)
        self.owner: Transactor = anvil.transactor(anvil.account(1000))
        self.nodes: list[Transactor] = [anvil.transactor(anvil.account(1000)) for _ in range(nodes)]
        self.spare = [anvil.account(1000) for _ in range(20)]
        self.salt = digest(f"history {seed}".encode())
        self.swarm_id = swarm_id(self.owner.account.address, self.salt)
        self.pool = pool_id(self.owner.account.address, self.salt)
        self.campaign = campaign_id(self.owner.account.address, self.salt)
        self.treasury, self.crowd = Treasury(self.chain), Crowdfunding(self.chain)
        self.records: dict[str, RoundRecord] = {}
        self.begun = self.chain.block()

    def id_of(self, node: Transactor) -> str:
        return node_id(node.account.address)

    def begin(self) -> None:
        """What everything else needs."""
        self.owner.create_swarm(self.salt, digest(b"config"), uri="ipfs://swarm")
        for node in self.nodes:
            node.register()
            node.join(self.swarm_id, self.id_of(node))
        self.treasury.open_pool(self.owner, self.salt, PoolTerms(swarm_id=self.swarm_id, rate=1000))
        self.treasury.fund(self.owner, self.pool, 50_000, ether=True)
        now = self.chain.clock()
        terms = CampaignTerms(
            swarm_id=self.swarm_id,
            beneficiary=self.owner.account.address,
            goal=10,
            deadline=now + 10**6,
            end=now + 10**7,
        )
        self.crowd.create(self.owner, self.salt, terms, (Milestone(measure="rounds", threshold=2, share=10_000),))
        self.begun = self.chain.block()

    def act(self) -> None:
        """One thing, by the seed. What the chain refuses now is refused."""
        self.random.choice(
            [self.attest, self.attest, self.attest, self.leave, self.pledge, self.settle, self.claim, self.describe]
        )()

    def attest(self) -> None:
        """The next rounds of some Node that is a member."""
        node = self.random.choice(self.nodes)
        node.register()
        node.join(self.swarm_id, self.id_of(node))
        first = self.chain.next_round(self.swarm_id, self.id_of(node))
        previous = self.chain.head(self.swarm_id, self.id_of(node))
        records: list[RoundRecord] = []
        for number in range(first, first + self.random.randint(1, 3)):
            records.append(
                RoundRecord(
                    chain_id=self.chain.deployment.chain_id,
                    registry=self.chain.deployment.node_registry,
                    swarm_id=self.swarm_id,
                    node_id=self.id_of(node),
                    round=number,
                    previous=previous,
                    config=to_hex(digest(b"config")),
                    model_before=to_hex(digest(f"model {number - 1}".encode())),
                    model_after=to_hex(digest(f"model {number}".encode())),
                    rollouts_root=to_hex(digest(self.random.randbytes(8))),
                    samples=self.random.randint(0, 2**62),  # a Node may say anything of itself
                    reward=self.random.randint(-(10**6), 10**6),
                    tokens=self.random.randint(0, 2**62),
                )
            )
            previous = to_hex(records[-1].digest())
        node.attest(AttestationData.of(records))

    def leave(self) -> None:
        node = self.random.choice(self.nodes)
        if self.chain.is_member(self.swarm_id, self.id_of(node)):
            if self.random.random() < 0.5:
                node.leave(self.swarm_id, self.id_of(node))
            else:
                self.owner.eject(self.swarm_id, self.id_of(node), "forged rewards")
                self.owner.invite(self.swarm_id, self.id_of(node))

    def pledge(self) -> None:
        self.crowd.pledge(self.random.choice(self.nodes), self.campaign, self.random.randint(1, 10**19), ether=True)

    def settle(self) -> None:
        """All that a Node has not settled yet, as far as the escrow reaches."""
        node = self.random.choice(self.nodes)
        done = self.treasury.settled_round(self.pool, self.id_of(node))
        for each in self.chain.attestations(self.swarm_id, node_id=self.id_of(node)):
            if each.first > done:
                self.treasury.settle(node, self.pool, self.id_of(node), each.uid)

    def claim(self) -> None:
        for node in self.nodes:
            if self.treasury.claimable(node.account.address):
                self.treasury.claim(node)

    def describe(self) -> None:
        """Metadata and registration file of a Node, in bytes that no program would send."""
        node = self.random.choice(self.nodes)
        if self.chain.key_of(self.id_of(node)) is None:
            return
        number = int(self.id_of(node), 16)
        self.send(node, "setMetadata", "uint256,string,bytes", number, HOSTILE, self.random.randbytes(4))
        self.send(node, "setAgentURI", "uint256,string", number, HOSTILE)

    def send(self, node: Transactor, function: str, types: str, *values: Any) -> None:
        """Calls the registry with strings given as bytes, which have the same encoding."""
        call = _NODES.call(function, *("" if each is HOSTILE else each for each in values))[:4]
        node.call(
            self.chain.deployment.node_registry, call + encode(types.replace("string", "bytes").split(","), values)
        )

    def rotate(self) -> None:
        """A Node of the owner's gets another key, and then another owner."""
        key = self.spare.pop()
        deadline = self.chain.clock() + 600
        where = domain(self.chain.deployment)
        proof = key.sign_registration(where, self.owner.account.address, self.chain.key_nonce(key.address), deadline)
        self.owner.register_key(proof, "ipfs://node")
        later = self.spare.pop()
        nonce = self.chain.key_nonce(later.address)
        rotation = later.sign_rotation(where, key.address, self.owner.account.address, nonce, deadline)
        self.owner.rotate_key(key.address, rotation)

    def reorganise(self, depth: int) -> None:
        """Takes the last blocks back, but nothing of the beginning."""
        self.anvil.rpc("anvil_reorg", max(1, min(depth, self.chain.block() - self.begun)), [])
