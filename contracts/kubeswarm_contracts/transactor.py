"""Writing to a chain with one account's key."""

from typing import Any, Literal

from kubeswarm_api.base import Model
from kubeswarm_api.encoding import ZERO_DIGEST, from_hex, to_hex
from kubeswarm_api.records import Address, Digest
from kubeswarm_contracts.abi import interface
from kubeswarm_contracts.account import Account
from kubeswarm_contracts.attestation import AttestationData
from kubeswarm_contracts.chain import NOBODY, POLICIES, Chain
from kubeswarm_contracts.errors import ChainRejected
from kubeswarm_contracts.fees import FeeCaps
from kubeswarm_contracts.sending import Patience, Reached, Receipt, Sender, nothing
from kubeswarm_contracts.signing import KeyProof, domain, node_id, swarm_id

#: How long a key's proof of itself counts, in seconds of the chain's clock.
PROOF_SECONDS = 600

_EAS = interface("EAS")
_NODES = interface("NodeRegistry")
_SWARMS = interface("SwarmRegistry")
_RESOLVER = interface("RoundResolver")


class TxResult(Model):
    """A transaction in a block. `uid`: the attestation that it made, if it made one."""

    tx_hash: Digest
    gas_used: int
    block: int
    uid: Digest | None = None


class Transactor:
    """Sends what `account` may send. Every method waits until a block holds it, and raises as `Sender.send` does.

    `create_swarm`, `register` and `join` send nothing and return None where the chain says already what they would make
    it say: so a caller may repeat them after any failure.
    """

    def __init__(
        self,
        chain: Chain,
        account: Account,
        caps: FeeCaps | None = None,
        patience: Patience | None = None,
        reached: Reached = nothing,
    ) -> None:
        self.chain, self.account = chain, account
        self._sender = Sender(chain, account, caps or FeeCaps(), patience or Patience(), reached)

    def create_swarm(
        self, salt: bytes, config: bytes, policy: Literal["open", "invited"] = "open", uri: str = ""
    ) -> TxResult | None:
        """Creates the swarm `swarm_id(account.address, salt)`. `salt`, `config`: 32 bytes each."""
        if self.chain.swarm(swarm_id(self.account.address, salt)) is not None:
            return None
        return self._swarms("createSwarm", salt, config, POLICIES.index(policy), uri)

    def register(self, owner: Address | None = None, uri: str = "") -> TxResult | None:
        """Registers this account's key as a Node, owned by `owner` (by default the key itself)."""
        key = self.account.address
        if self.chain.key_of(node_id(key)) == key:
            return None
        deadline = self.chain.clock() + PROOF_SECONDS
        where = domain(self.chain.deployment)
        proof = self.account.sign_registration(where, owner or key, self.chain.key_nonce(key), deadline)
        return self.register_key(proof, uri)

    def register_key(self, proof: KeyProof, uri: str = "") -> TxResult:
        """Registers the key that signed `proof`; this account only pays."""
        return self._nodes("registerKey", proof.key, proof.owner, uri, proof.deadline, proof.signature)

    def rotate_key(self, node_id: Address, proof: KeyProof) -> TxResult:
        """Gives a Node of this account the key that signed `proof`; its former key is retired."""
        return self._nodes("setAgentWallet", int(node_id, 16), proof.key, proof.deadline, proof.signature)

    def join(self, swarm_id: Digest, node_id: Address) -> TxResult | None:
        """Joins a swarm with a Node of which this account is key or owner."""
        if self.chain.is_member(swarm_id, node_id):
            return None
        return self._swarms("join", from_hex(swarm_id), int(node_id, 16))

    def leave(self, swarm_id: Digest, node_id: Address) -> TxResult:
        """Leaves a swarm with a Node of which this account is key or owner."""
        return self._swarms("quit", from_hex(swarm_id), int(node_id, 16))

    def invite(self, swarm_id: Digest, node_id: Address) -> TxResult:
        """Invites a Node into a swarm of this account; the Node need not be registered yet."""
        return self._swarms("invite", from_hex(swarm_id), int(node_id, 16))

    def eject(self, swarm_id: Digest, node_id: Address, reason: str) -> TxResult:
        """Ejects a Node from a swarm of this account, or takes its invitation back."""
        return self._swarms("eject", from_hex(swarm_id), int(node_id, 16), reason)

    def attest(self, data: AttestationData) -> TxResult:
        """Attests rounds of the Node whose key this is; `uid` of the result is the attestation's."""
        deployment = self.chain.deployment
        request = (from_hex(deployment.schema_uid), (NOBODY, 0, False, ZERO_DIGEST, data.encode(), 0))
        receipt = self._sender.send(deployment.eas, _EAS.call("attest", request))
        ours = (deployment.resolver, _RESOLVER.topic("RoundsAttested"))
        made = next((log for log in receipt.logs if (log["address"].lower(), log["topics"][0]) == ours), None)
        if made is None:
            raise ChainRejected("NotDeployed", f"the attestation was taken without asking {deployment.resolver}")
        return _result(receipt, to_hex(_RESOLVER.event("RoundsAttested", made)["uid"]))

    def transfer(self, to: Address, wei: int) -> TxResult:
        """Sends ether."""
        return _result(self._sender.send(to, value=wei))

    def call(self, to: Address, data: bytes, wei: int = 0) -> TxResult:
        """Calls any contract, with ether sent along."""
        return _result(self._sender.send(to, data, wei))

    def _nodes(self, function: str, *arguments: Any) -> TxResult:
        return _result(self._sender.send(self.chain.deployment.node_registry, _NODES.call(function, *arguments)))

    def _swarms(self, function: str, *arguments: Any) -> TxResult:
        return _result(self._sender.send(self.chain.deployment.swarm_registry, _SWARMS.call(function, *arguments)))


def _result(receipt: Receipt, uid: Digest | None = None) -> TxResult:
    return TxResult(tx_hash=receipt.tx_hash, gas_used=receipt.gas_used, block=receipt.block, uid=uid)
