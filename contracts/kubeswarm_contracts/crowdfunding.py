"""Campaigns: pledges for a swarm's training, released by milestones, refunded where they are not."""

from collections.abc import Sequence
from typing import Any, Literal

from eth_utils.crypto import keccak
from pydantic import Field

from kubeswarm_api.base import Model
from kubeswarm_api.encoding import from_hex, to_hex
from kubeswarm_api.records import Address, Digest
from kubeswarm_contracts.abi import interface
from kubeswarm_contracts.chain import NOBODY, Chain
from kubeswarm_contracts.errors import ChainRejected
from kubeswarm_contracts.transactor import Transactor, TxResult

MEASURES: tuple[Literal["rounds", "heldOutReward"], ...] = ("rounds", "heldOutReward")
#: Sum of a campaign's shares, as Crowdfunding.WHOLE.
WHOLE = 10_000

_CROWDFUNDING = interface("Crowdfunding")


class Milestone(Model):
    """A step that releases `share` hundredths of a percent. `threshold`: rounds, or held-out reward x 1,000,000."""

    measure: Literal["rounds", "heldOutReward"]
    threshold: int = Field(ge=-(2**63), lt=2**63)
    share: int = Field(ge=1, le=WHOLE)


class CampaignTerms(Model):
    """What a campaign promises. `goal` in the token's smallest part (zero address: ether); times in Unix seconds."""

    swarm_id: Digest
    token: Address = NOBODY
    beneficiary: Address
    evaluator: Address = NOBODY
    goal: int = Field(ge=1, lt=2**128)
    deadline: int = Field(ge=0, lt=2**64)
    end: int = Field(ge=0, lt=2**64)


class Campaign(Model):
    """A campaign as the chain has it. `reached`: milestones. `pledged`: what those pledged who fetched nothing back."""

    id: Digest
    creator: Address
    terms: CampaignTerms
    milestones: tuple[Milestone, ...]
    reached: int
    cancelled: bool
    raised: int
    unspent: int
    pledged: int


def campaign_id(creator: Address, salt: bytes) -> Digest:
    """The id of the campaign that `creator` begins with a salt of 32 bytes."""
    return to_hex(keccak(from_hex(creator, 20).rjust(32, b"\0") + salt))


class Crowdfunding:
    """The campaigns of a chain. Methods raise ChainUnreachable and ChainRejected; those that take a transactor send."""

    def __init__(self, chain: Chain) -> None:
        if chain.deployment.crowdfunding is None:
            raise ChainRejected("NotDeployed", f"the deployment on chain {chain.deployment.chain_id} has no campaigns")
        self._chain, self.address = chain, chain.deployment.crowdfunding

    def campaign(self, campaign_id: Digest) -> Campaign | None:
        """The campaign with this id; None if there is none."""
        found = self._chain.read(self.address, _CROWDFUNDING, "campaignOf", from_hex(campaign_id))
        terms, creator, reached, cancelled, raised, unspent, pledged, milestones = found
        if creator == NOBODY:
            return None
        values = dict(zip(CampaignTerms.model_fields, (to_hex(terms[0]), *terms[1:]), strict=True))
        return Campaign(
            id=campaign_id,
            creator=creator,
            terms=CampaignTerms.model_validate(values),
            milestones=tuple(Milestone(measure=MEASURES[m], threshold=t, share=s) for m, t, s in milestones),
            reached=reached,
            cancelled=cancelled,
            raised=raised,
            unspent=unspent,
            pledged=pledged,
        )

    def pledge_of(self, campaign_id: Digest, backer: Address) -> int:
        """What a backer pledged and has not fetched back."""
        return self._chain.read(self.address, _CROWDFUNDING, "pledges", from_hex(campaign_id), backer)

    def is_refunding(self, campaign_id: Digest) -> bool:
        """Whether backers get back now what is unspent. Raises ChainRejected if there is no such campaign."""
        return self._chain.read(self.address, _CROWDFUNDING, "isRefunding", from_hex(campaign_id))

    def claimable(self, account: Address, token: Address = NOBODY) -> int:
        """What milestones released to the account and it has not fetched."""
        return self._chain.read(self.address, _CROWDFUNDING, "claimable", token, account)

    def create(
        self, transactor: Transactor, salt: bytes, terms: CampaignTerms, milestones: Sequence[Milestone]
    ) -> TxResult:
        """Begins the campaign `campaign_id(account, salt)`. `salt`: 32 bytes."""
        values = (from_hex(terms.swarm_id), *list(terms.model_dump().values())[1:])
        steps = [(MEASURES.index(each.measure), each.threshold, each.share) for each in milestones]
        return self._send(transactor, "createCampaign", salt, values, steps)

    def pledge(self, transactor: Transactor, campaign_id: Digest, amount: int, *, ether: bool) -> TxResult:
        """Pledges: `ether` sent along, or a token that the contract was allowed to take."""
        return self._send(transactor, "pledge", from_hex(campaign_id), amount, value=amount if ether else 0)

    def reach_by_rounds(self, transactor: Transactor, campaign_id: Digest, nodes: Sequence[Address]) -> TxResult:
        """Reaches the next milestone by what these Nodes have attested."""
        ascending = sorted({int(node, 16) for node in nodes})
        return self._send(transactor, "reachByRounds", from_hex(campaign_id), ascending)

    def reach_by_reward(self, transactor: Transactor, campaign_id: Digest, reward: int) -> TxResult:
        """Reaches the next milestone by a held-out reward x 1,000,000; the campaign's evaluator only."""
        return self._send(transactor, "reachByReward", from_hex(campaign_id), reward)

    def cancel(self, transactor: Transactor, campaign_id: Digest) -> TxResult:
        """Cancels a campaign of the account: everything unspent goes back to the backers."""
        return self._send(transactor, "cancel", from_hex(campaign_id))

    def refund(self, transactor: Transactor, campaign_id: Digest, to: Address | None = None) -> TxResult:
        """Fetches back what remains of the account's pledge, to itself or to another."""
        receiver = to or transactor.account.address
        return self._send(transactor, "refund", from_hex(campaign_id), receiver)

    def claim(self, transactor: Transactor, token: Address = NOBODY) -> TxResult:
        """Fetches what milestones released to the account."""
        return self._send(transactor, "claim", token)

    def _send(self, transactor: Transactor, function: str, *arguments: Any, value: int = 0) -> TxResult:
        return transactor.call(self.address, _CROWDFUNDING.call(function, *arguments), value)
