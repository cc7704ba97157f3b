"""The log of decentralised runs: what an indexer serves of a chain, as its HTTP API and its readers know it.

Amounts of money, samples and tokens are decimal strings: they may be larger than a JSON number holds exactly.
"""

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import Field, StringConstraints

from kubeswarm_api.base import Model
from kubeswarm_api.records import Address, Digest

#: Most items of one page.
MAX_PAGE = 500
DEFAULT_PAGE = 100

Amount = Annotated[str, StringConstraints(pattern=r"^[0-9]+$", max_length=78)]
Signed = Annotated[str, StringConstraints(pattern=r"^-?[0-9]+$", max_length=79)]
Policy = Literal["open", "invited", "staked"]
Standing = Literal["invited", "member", "left", "ejected"]
Change = Literal["key", "owner", "uri", "metadata"]
PaymentKind = Literal[
    "poolFunded",
    "roundsSettled",
    "poolStopped",
    "poolReclaimed",
    "pledged",
    "milestoneReached",
    "campaignCancelled",
    "refunded",
    "credited",
    "claimed",
]


class Head(Model):
    """The block up to which the log is complete. `time`: Unix seconds."""

    number: int
    hash: Digest
    time: int


class Item(Model):
    """Something that one event told, and where: items are listed in the chain's order."""

    cursor: str = Field(description="This item's place in its list: give it as `after` to go on behind it.")
    block: int
    time: int = Field(description="The block's time, in Unix seconds.")
    tx: Digest


class LogState(Model):
    """Which chain the log is of, and how far it is."""

    chain_id: int
    node_registry: Address
    swarm_registry: Address
    resolver: Address
    schema_uid: Digest
    treasury: Address | None = None
    crowdfunding: Address | None = None
    first_block: int = Field(description="Where the log begins.")
    head: Head | None = Field(description="None before the first block was read.")
    behind: int | None = Field(description="Blocks that the chain is ahead, at the last look; None before the first.")


class Run(Item):
    """A decentralised run: a Swarm as the chain has it, with what its Nodes have attested."""

    swarm_id: Digest
    owner: Address
    policy: Policy
    config: Digest = Field(description="Digest of the Swarm's configuration.")
    uri: str
    members: int = Field(description="Nodes in it now.")
    rounds: int = Field(description="Attested rounds of all its Nodes.")
    samples: Amount
    tokens: Amount


class Participant(Model):
    """A Node in a run: where it stands, and what it has attested there. Listed by node id."""

    cursor: str
    swarm_id: Digest
    node_id: Address
    standing: Standing
    reason: str = Field(description="Of an ejection.")
    since: int = Field(description="When it came to stand there, in Unix seconds.")
    rounds: int = Field(description="Its last attested round.")
    samples: Amount
    tokens: Amount
    head: Digest | None = Field(description="Digest of the record of its last attested round.")
    model: Digest | None = Field(description="Digest of its model after that round.")


class Membership(Item):
    """A change in who takes part in a run."""

    swarm_id: Digest
    node_id: Address
    standing: Standing
    reason: str
    members: int = Field(description="Nodes in the run after it.")


class Rounds(Item):
    """Consecutive rounds of one Node, which one attestation holds."""

    uid: Digest
    swarm_id: Digest
    node_id: Address
    first_round: int
    last_round: int
    records_root: Digest = Field(description="Merkle root of the digests of the rounds' records.")
    previous: Digest
    head: Digest = Field(description="Digest of the last round's record.")
    model: Digest = Field(description="Digest of the model after the last round.")
    samples: Amount
    tokens: Amount
    reward: Signed = Field(description="Mean reward x 1,000,000.")
    attester: Address = Field(description="The Node's key at that time.")


class Participating(Item):
    """A Node, with its current key and owner."""

    node_id: Address
    owner: Address
    key: Address | None
    uri: str
    rounds: int = Field(description="Attested rounds in all runs.")


class NodeChange(Item):
    """A change of a Node: its key, its owner, the address of its registration file, or a metadata entry."""

    node_id: Address
    change: Change
    name: str = Field(description="Of a metadata entry.")
    value: str = Field(description="An address, a URI, or hex digits of a metadata value; empty: none any more.")


class Pool(Item):
    """Money that pays for attested rounds of a run."""

    pool_id: Digest
    swarm_id: Digest
    owner: Address
    token: Address = Field(description="Zero: ether.")
    unit: Literal["round", "millionTokens"]
    rate: Amount
    window: int = Field(description="Seconds after the attestation in which nothing is paid.")
    verifier: Address
    escrow: Amount = Field(description="What it can still pay.")
    stopped: bool


class MilestoneTerms(Model):
    """A step of a campaign: releases `share` hundredths of a percent at `threshold`."""

    measure: Literal["rounds", "heldOutReward"]
    threshold: Signed
    share: int


class Campaign(Item):
    """A crowdfunding campaign for a run."""

    campaign_id: Digest
    swarm_id: Digest
    creator: Address
    token: Address
    beneficiary: Address
    evaluator: Address
    goal: Amount
    deadline: int
    end: int
    milestones: list[MilestoneTerms]
    reached: int = Field(description="Milestones so far.")
    cancelled: bool
    raised: Amount
    unspent: Amount


class Payment(Item):
    """Money that moved, or a decision on it. `fund`: the pool or campaign; None where an account fetches its credit."""

    kind: PaymentKind
    fund: Digest | None
    swarm_id: Digest | None
    node_id: Address | None
    uid: Digest | None = Field(description="The attestation that was settled.")
    account: Address | None = Field(description="Who paid, or was paid.")
    token: Address
    amount: Amount
    value: Signed | None = Field(description="What a milestone measured.")
    balance: Amount = Field(description="Of the fund, or of the account's credit, after it.")


T = TypeVar("T", bound=Model)


class Page(Model, Generic[T]):
    """One page of a list. All of it is of one block, `head`."""

    items: list[T]
    next: str | None = Field(description="The `after` of the next page; None: this is the end for now.")
    head: Head | None
