"""The configuration that the operator mounts into a Node's pods: everything a worker knows of its place."""

from pydantic import Field

from kubeswarm_api.base import Model
from kubeswarm_api.encoding import canonical_json, digest
from kubeswarm_api.records import Address, Digest
from kubeswarm_api.spec_training import Attestation, TrainingSpec


class ChainConfig(Model):
    """The chain and the contracts on it."""

    url: str = Field(min_length=1, max_length=512, description="JSON-RPC endpoint.")
    chain_id: int = Field(ge=1, lt=2**64)
    eas: Address
    schema_uid: Digest
    node_registry: Address
    swarm_registry: Address
    resolver: Address


class ExchangeConfig(Model):
    """Where rollouts are exchanged."""

    url: str = Field(min_length=1, max_length=512, description="NATS server, such as nats://host:4222.")


class NodeConfig(Model):
    """One Node's place in the world."""

    namespace: str
    name: str
    swarm: str
    swarm_id: Digest
    index: int = Field(ge=0)
    training: TrainingSpec
    attest: Attestation = Attestation()
    model_dir: str = Field(description="Directory of the base model, or owner/name[@revision] on a hub.")
    chain: ChainConfig | None = None
    exchange: ExchangeConfig | None = None

    def config_digest(self) -> bytes:
        """What a round record binds as its configuration: the training spec, without the number of rounds."""
        training = self.training.to_json()
        training.pop("rounds", None)
        return digest(canonical_json(training))
