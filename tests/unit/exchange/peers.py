"""Nodes that exchange rollouts over a real server: each with a key, credentials, and a client of its own."""

import asyncio
from pathlib import Path

from nats.aio.client import Client, RawCredentials

from kubeswarm_api.errors import InvalidBatch
from kubeswarm_api.names import groups_subject
from kubeswarm_api.rollouts import Completion, Group, RolloutBatch, SignedBatch
from kubeswarm_contracts import Account, Domain, new_key, recover_batch_signer
from kubeswarm_operator.exchange import node_credentials
from kubeswarm_workers.exchange.client import NatsExchange

SWARM = "0x" + "ab" * 32
DOMAIN = Domain(chain_id=31337, registry="0x" + "33" * 20)


class Notary:
    """Signs with a key of its own and knows the members: the attestor without socket and chain."""

    def __init__(self, members: set[str]) -> None:
        self.account = Account(new_key()[0])
        self.members = members
        self.reachable = True
        members.add(self.account.address)

    @property
    def node_id(self) -> str:
        return self.account.address

    def sign(self, round: int, root: bytes) -> bytes:
        return self.account.sign_batch(DOMAIN, SWARM, self.node_id, round, root)

    def verify(self, batch: SignedBatch) -> None:
        if not self.reachable:
            raise ConnectionRefusedError("no attestor")
        node, number = batch.batch.node_id, batch.batch.round
        if node not in self.members:
            raise InvalidBatch("membership", node)
        if recover_batch_signer(DOMAIN, SWARM, node, number, batch.batch.root(), batch.signature) != node:
            raise InvalidBatch("signature", node)


def batch_of(notary: Notary, number: int, tokens: int = 20) -> SignedBatch:
    completion = Completion(tokens=[7] * tokens, logprobs=[-0.5] * tokens, reward=0.25, truncated=False)
    group = Group(task="needle", item=number, prompt_tokens=[1, 2, 3], completions=[completion, completion])
    batch = RolloutBatch(
        swarm_id=SWARM, node_id=notary.node_id, round=number, model="0x" + "cd" * 32, groups=[group, group]
    )
    return SignedBatch(batch=batch, signature=notary.sign(number, batch.root()))


class Peer:
    """A Node: its notary, its credentials, and its client once it is opened."""

    def __init__(self, server, folder: Path, members: set[str]) -> None:
        self.server, self.notary = server, Notary(members)
        self.credentials = folder / f"{self.notary.node_id}.creds"
        self.credentials.write_text(node_credentials(server.keyring, SWARM, self.notary.node_id))
        self.client: NatsExchange | None = None

    def open(self) -> NatsExchange:
        self.client = NatsExchange(self.server.url, self.credentials, SWARM, self.notary)
        return self.client

    def send(self, *messages: bytes, subject: str | None = None) -> None:
        """Publishes raw bytes with this Node's credentials, past its client."""

        async def publish() -> None:
            client = Client()
            await client.connect(
                self.server.url,
                user_credentials=RawCredentials(self.credentials.read_text()),
                inbox_prefix=f"_INBOX_{self.notary.node_id}",
                allow_reconnect=False,
            )
            for message in messages:
                await client.jetstream().publish(subject or groups_subject(SWARM, self.notary.node_id), message)
            await client.close()

        asyncio.run(publish())
