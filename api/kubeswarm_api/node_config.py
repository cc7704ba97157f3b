"""The configuration that a Node's processes are given: everything a worker knows of its place."""

from pathlib import PurePath

from pydantic import Field

from kubeswarm_api.base import Model
from kubeswarm_api.encoding import canonical_json, digest
from kubeswarm_api.names import MODEL_DIR
from kubeswarm_api.node import NodeSpec
from kubeswarm_api.records import Address, Digest
from kubeswarm_api.spec_training import Attestation, Retention, Sharing, TrainingSpec


class GasCaps(Model):
    """The most that a transaction may offer per gas (EIP-1559), in gwei. Above them what is due waits."""

    max_fee_gwei: float = Field(default=200, gt=0, le=1e6, description="In all, base fee and tip.")
    max_priority_fee_gwei: float = Field(default=5, ge=0, le=1e6, description="Of that, the tip.")


class ChainConfig(Model):
    """The chain and the contracts on it."""

    url: str = Field(min_length=1, max_length=512, description="JSON-RPC endpoint.")
    chain_id: int = Field(ge=1, lt=2**64)
    eas: Address
    schema_uid: Digest
    node_registry: Address
    swarm_registry: Address
    resolver: Address
    gas: GasCaps = GasCaps()


class ExchangeConfig(Model):
    """Where rollouts are exchanged."""

    url: str = Field(min_length=1, max_length=512, description="NATS server, such as nats://host:4222.")


class NodeConfig(Model):
    """One Node's place in the world."""

    namespace: str
    name: str
    swarm: str
    swarm_id: Digest
    node_id: Address | None = Field(
        default=None, description="Who the Node is on chain; by default whom its key makes it. A rotated key needs it."
    )
    index: int = Field(ge=0)
    training: TrainingSpec
    attest: Attestation = Attestation()
    keep: Retention = Retention()
    model_dir: str = Field(description="Directory of the base model, or owner/name[@revision] on a hub.")
    chain: ChainConfig | None = None
    exchange: ExchangeConfig | None = None

    def config_digest(self) -> bytes:
        """What a round record binds as its configuration: the training spec, without the number of rounds."""
        training = self.training.to_json()
        training.pop("rounds", None)
        return digest(canonical_json(training))

    def following(self, fresh: "NodeConfig") -> "NodeConfig":
        """This configuration with what of `fresh` can be taken over between two rounds, without a restart."""
        now, later = self.training, fresh.training
        taken = {
            "algorithm": now.algorithm.model_copy(update={"learning_rate": later.algorithm.learning_rate}),
            "sharing": later.sharing,
            "rollout": now.rollout.model_copy(
                update={"workers": later.rollout.workers, "max_workers": later.rollout.max_workers}
            ),
        }
        return self.model_copy(update={"training": now.model_copy(update=taken)})

    def read_at_start(self) -> "NodeConfig":
        """This configuration without what `following` takes over: when it differs, processes must start anew.

        Of the number of rollout pods it matters whether the engine lives in the head pod (none) or not.
        """
        training = self.training
        fixed = {
            "algorithm": training.algorithm.model_copy(update={"learning_rate": None}),
            "sharing": Sharing(),
            "rollout": training.rollout.model_copy(
                update={"workers": min(1, training.rollout.workers), "max_workers": None}
            ),
        }
        return self.model_copy(update={"training": training.model_copy(update=fixed)})


def node_config(
    spec: NodeSpec,
    *,
    namespace: str,
    name: str,
    swarm: str,
    swarm_id: Digest,
    chain: ChainConfig | None,
    exchange: ExchangeConfig | None,
    model_root: PurePath = MODEL_DIR,
    node_id: Address | None = None,
) -> NodeConfig:
    """What a Node's processes are told, in a cluster and on one machine alike.

    `swarm`: the Swarm's name, empty for a Node that joined from elsewhere. `model_root`: where the image or claim of
    `spec.model` is; a model from a hub is named as it is.
    """
    return NodeConfig(
        namespace=namespace,
        name=name,
        swarm=swarm,
        swarm_id=swarm_id,
        node_id=node_id,
        index=spec.index,
        training=spec.training(),
        attest=spec.attest,
        keep=spec.storage.keep,
        model_dir=spec.model.hub or str(model_root / spec.model.path),
        chain=chain,
        exchange=exchange,
    )
