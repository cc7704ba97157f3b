"""The Swarm: one training effort, and what is known of it."""

from pydantic import Field

from kubeswarm_api.base import Model, cel
from kubeswarm_api.conditions import Condition
from kubeswarm_api.names import MAX_SWARM_NAME
from kubeswarm_api.node import Membership, NodeSpec
from kubeswarm_api.spec_life import Update
from kubeswarm_api.spec_placement import PlacedSpec


class SwarmSpec(PlacedSpec):
    """One training effort: what to train, on what, how, with how many Nodes."""

    nodes: int = Field(default=1, ge=0, le=1000, description="Nodes that this cluster runs for the Swarm.")
    update: Update = Field(default_factory=Update, description="How a change gets to the Nodes.")

    def node(self, swarm: str, index: int) -> NodeSpec:
        """The spec of the Node of that index; `swarm` is this Swarm's name."""
        shared = {name: getattr(self, name) for name in PlacedSpec.model_fields}
        return NodeSpec(**shared, swarm=Membership(name=swarm), index=index)


class SwarmStatus(Model):
    """What is known of a Swarm."""

    observed_generation: int = Field(
        default=0, description="The generation of the spec that this status was made from."
    )
    conditions: list[Condition] = Field(default_factory=list[Condition], max_length=16, description="What holds now.")
    swarm_id: str | None = Field(default=None, max_length=66, description="The Swarm's id on the chain (0x, 32 bytes).")
    nodes: int = Field(default=0, description="Nodes that exist.")
    ready_nodes: int = Field(default=0, description="Nodes that are Ready.")
    updated_nodes: int = Field(default=0, description="Nodes whose pods are of the spec and the images of now.")
    complete_nodes: int = Field(default=0, description="Nodes that have finished their rounds.")
    round: int = Field(default=0, description="The last finished round of the Node that is furthest behind.")
    reward: str | None = Field(default=None, max_length=16, description="Mean reward of the Nodes' last rounds.")
    held_out_reward: str | None = Field(
        default=None, max_length=16, description="Mean of the Nodes' latest held-out rewards."
    )
    attested_rounds: int = Field(default=0, description="Rounds on the chain, over all Nodes.")
    participants: int = Field(default=0, description="Members of the Swarm on the chain, in any cluster.")
    selector: str | None = Field(
        default=None, max_length=256, description="Label selector of the pods, for the scale subresource."
    )


NAME_RULE = cel(
    f"self.metadata.name.size() <= {MAX_SWARM_NAME}",
    f"metadata.name may have {MAX_SWARM_NAME} characters at most, because the names of its Nodes and pods are made "
    "from it",
)
