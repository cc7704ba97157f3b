"""The Node: one participant with one key, one model replica and one Ray cluster; and what is known of it."""

from pydantic import Field

from kubeswarm_api.base import Model, OneOf, cel, pattern_message
from kubeswarm_api.conditions import Condition
from kubeswarm_api.spec_placement import PlacedSpec


class Join(Model):
    """A Swarm that another cluster or namespace runs."""

    swarm_id: str = Field(
        pattern=r"^0x[0-9a-f]{64}$",
        max_length=66,
        description="The Swarm's id on the chain.",
        json_schema_extra=pattern_message("swarmId must be 0x and 64 digits of 0-9 and a-f, as in the Swarm's status"),
    )
    credentials: str = Field(
        min_length=1,
        max_length=253,
        description="Secret in this namespace with the exchange credentials from the Swarm's owner, key nats.creds.",
    )


class Membership(OneOf):
    """The Swarm that a Node takes part in: one of this namespace, or one from elsewhere."""

    one_of = ("name", "join")

    name: str | None = Field(default=None, min_length=1, max_length=40, description="A Swarm in the Node's namespace.")
    join: Join | None = Field(default=None, description="A Swarm of another cluster or namespace.")


class NodeSpec(PlacedSpec):
    """One participant. A Swarm writes this for its own Nodes; a Node can also stand alone and join a Swarm."""

    swarm: Membership = Field(description="The Swarm that it takes part in.")
    index: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Its number in the Swarm: with seed and round it decides which items it draws.",
    )

    cel_rules = (
        cel(
            "self.swarm == oldSelf.swarm",
            "swarm can't be changed after creation: make a new Node",
            fieldPath=".swarm",
        ),
        cel(
            "self.index == oldSelf.index",
            "index can't be changed after creation: make a new Node",
            fieldPath=".index",
        ),
    )


class HeldOut(Model):
    """Mean rewards on the fixed held-out set, as decimal strings of four digits."""

    items: int = Field(default=0, description="Held-out items.")
    before: str | None = Field(default=None, max_length=16, description="Mean reward before the first round.")
    latest: str | None = Field(default=None, max_length=16, description="Mean reward at the latest evaluation.")
    exact_before: str | None = Field(
        default=None, max_length=16, description="Share answered exactly before the first round."
    )
    exact_latest: str | None = Field(
        default=None, max_length=16, description="Share answered exactly at the latest evaluation."
    )
    round: int = Field(default=0, description="The round of the latest evaluation.")


class Change(Model):
    """A change of a Node's pods that is on trial, or has failed."""

    revision: str = Field(max_length=64, description="The pod templates that it brings, as a digest.")
    since: str = Field(
        default="", max_length=32, description="When its pods were asked for (RFC 3339); empty: none are."
    )
    failed: str = Field(default="", max_length=1024, description="Why the Node went back to its earlier pods.")


class NodeStatus(Model):
    """What is known of a Node."""

    observed_generation: int = Field(
        default=0, description="The generation of the spec that this status was made from."
    )
    conditions: list[Condition] = Field(default_factory=list[Condition], max_length=16, description="What holds now.")
    swarm_id: str | None = Field(default=None, max_length=66, description="The Swarm's id on the chain (0x, 32 bytes).")
    node_id: str | None = Field(
        default=None,
        max_length=66,
        description="Its identity on the chain (0x, from its first key's address).",
    )
    round: int = Field(default=0, description="The last finished round.")
    stop_round: int | None = Field(
        default=None, description="The round after which training ends early, by spec.stopWhen."
    )
    reward: str | None = Field(default=None, max_length=16, description="Mean reward of the last round.")
    held_out: HeldOut | None = Field(default=None, description="Reward on the held-out set.")
    attested_rounds: int = Field(default=0, description="Rounds on the chain.")
    groups_taken: int = Field(default=0, description="Groups of other Nodes that updates took.")
    tokens: int = Field(default=0, description="Tokens generated.")
    rollout_replicas: int = Field(default=0, description="Rollout pods that exist.")
    ready_rollout_replicas: int = Field(default=0, description="Rollout pods that are Ready.")
    revision: str | None = Field(
        default=None, max_length=64, description="The pod templates with which it was ready last, as a digest."
    )
    change: Change | None = Field(
        default=None, description="A change of its pods that is on trial, or from which it went back."
    )
    model: str | None = Field(
        default=None, max_length=66, description="Digest of the trained model after the last round."
    )
    selector: str | None = Field(
        default=None,
        max_length=256,
        description="Label selector of the rollout pods, for the scale subresource.",
    )


NAME_RULE = cel(
    "self.metadata.name.size() <= 46",
    "metadata.name may have 46 characters at most, because the names of its pods are made from it",
)
