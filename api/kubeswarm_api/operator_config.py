"""The operator's configuration file, which the chart writes."""

from typing import Literal

from pydantic import Field

from kubeswarm_api.base import Model
from kubeswarm_api.node_config import GasCaps


class Images(Model):
    """Images of the pods that the operator makes."""

    worker: str = Field(min_length=1, max_length=512, description="Image of head and rollout pods.")
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    pull_secrets: list[str] = Field(default_factory=list, max_length=16)


class Funding(Model):
    """How Nodes' keys get gas money from the operator's account; amounts in ether, as decimal strings."""

    minimum: str = Field(default="0.01", pattern=r"^\d+(\.\d{1,18})?$", description="Top up a key that has less.")
    target: str = Field(default="0.05", pattern=r"^\d+(\.\d{1,18})?$", description="Top up to this.")
    daily_budget: str = Field(
        default="1", pattern=r"^\d+(\.\d{1,18})?$", description="Stop after this much in 24 hours."
    )


class ChainSettings(Model):
    """The chain that Swarms are recorded on."""

    url: str = Field(min_length=1, max_length=512, description="JSON-RPC endpoint, for the operator and the pods.")
    chain_id: int = Field(ge=1, lt=2**64)
    deployment_file: str | None = Field(
        default=None, description="Contract addresses, for a chain that is not built in."
    )
    account_key_file: str = Field(
        default="/etc/kubeswarm/chain-account/key",
        description="Private key that owns the Swarms and funds the Nodes' keys.",
    )
    funding: Funding = Funding()
    gas: GasCaps = GasCaps()
    poll_seconds: float = Field(default=5.0, gt=0, le=600)


class IndexerSettings(Model):
    """The log of runs: status comes from it instead of from the chain. What is sent goes to the chain all the same."""

    url: str = Field(min_length=1, max_length=512, pattern=r"^https?://.+$", description="http(s)://host[:port].")


class ExchangeSettings(Model):
    """The NATS server that rollouts go through."""

    url: str = Field(min_length=1, max_length=512, description="For the operator and the pods: nats://host:4222.")
    secret: str = Field(
        default="kubeswarm-exchange", description="Secret with the server's configuration and signing keys."
    )
    stream_max_bytes: int = Field(
        default=256 * 1024 * 1024, ge=1024 * 1024, description="Disk that one Swarm's stream may take."
    )


class LeaseSettings(Model):
    """Leader election."""

    name: str = "kubeswarm-operator"
    duration_seconds: int = Field(default=15, ge=3, le=600)
    renew_seconds: int = Field(default=5, ge=1, le=200)


class OperatorConfig(Model):
    """All settings of the operator."""

    images: Images
    chain: ChainSettings | None = None
    indexer: IndexerSettings | None = None
    exchange: ExchangeSettings | None = None
    lease: LeaseSettings = LeaseSettings()
    namespaces: list[str] = Field(default_factory=list, max_length=256, description="Namespaces to watch; empty: all.")
    workers: int = Field(default=4, ge=1, le=64, description="Reconciliations at a time, by kind.")
    watch_silence_seconds: float = Field(
        default=70,
        gt=0,
        le=600,
        description="A watch that has been silent for so long is opened again: API servers say something each minute.",
    )
    ray_token_days: float = Field(
        default=30, gt=0, le=3650, description="Age at which the token of a Node's Ray cluster is made anew."
    )
    status_poll_seconds: float = Field(
        default=5.0, gt=0, le=600, description="How often a running Node's pods are asked."
    )
