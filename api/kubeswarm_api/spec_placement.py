"""Where it runs: what a Swarm and its Nodes say about pods, storage and keys."""

from pydantic import Field, JsonValue

from kubeswarm_api.base import Model
from kubeswarm_api.spec_life import FailurePolicy, StopWhen
from kubeswarm_api.spec_training import Attestation, Identity, Storage, TrainingSpec


class PodTemplate(Model):
    """A partial pod, merged strategically over the one the operator builds (containers by name)."""

    labels: dict[str, str] = Field(default_factory=dict, max_length=32, description="More labels for the pod.")
    annotations: dict[str, str] = Field(
        default_factory=dict, max_length=32, description="More annotations for the pod."
    )
    spec: dict[str, JsonValue] = Field(
        default_factory=dict,
        max_length=64,
        description="A partial PodSpec; containers (trainer, attestor, rollout) are matched by name.",
    )


class PodTemplates(Model):
    """The pods of a Node by role."""

    head: PodTemplate = Field(default_factory=PodTemplate, description="The head pod: learner and attestor.")
    rollout: PodTemplate = Field(default_factory=PodTemplate, description="The rollout pods.")


class PlacedSpec(TrainingSpec):
    """Training plus where it runs."""

    suspend: bool = Field(default=False, description="Take the pods away and keep everything else.")
    storage: Storage = Field(default_factory=Storage, description="The claim of checkpoints and spool.")
    attest: Attestation = Field(default_factory=Attestation, description="When rounds are attested.")
    identity: Identity = Field(default_factory=Identity, description="The Node's persistent key.")
    stop_when: StopWhen = Field(default_factory=StopWhen, description="What ends training before its rounds are done.")
    failure_policy: FailurePolicy = Field(
        default_factory=FailurePolicy, description="What ends training as Failed. Left out: nothing."
    )
    ttl_seconds_after_finished: int | None = Field(
        default=None,
        ge=0,
        description="Delete a Swarm, or a Node that stands alone, so many seconds after it is Complete or Failed, with "
        "its volumes: take the model out before. Left out: it stays.",
    )
    template: PodTemplates = Field(
        default_factory=PodTemplates, description="Your own pod settings, merged over the built ones."
    )
