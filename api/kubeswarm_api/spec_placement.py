"""Where it runs: what a Swarm and its Nodes say about pods, storage and keys."""

from pydantic import Field, JsonValue

from kubeswarm_api.base import Model, pattern_message
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


_CLASS = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
_CLASS_MESSAGE = pattern_message("must be the name of a WorkloadPriorityClass: a-z, 0-9, - and . alone")


class Queue(Model):
    """A queue of Kueue (kueue.x-k8s.io), which lets pods begin when its quota has room for them."""

    name: str = Field(
        min_length=1,
        max_length=63,
        pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        description="A LocalQueue in the namespace.",
        json_schema_extra=pattern_message("name must be that of a LocalQueue: a-z, 0-9 and - alone"),
    )
    min_workers: int = Field(
        default=1,
        ge=1,
        le=100,
        description="Rollout pods that a Node's head begins with: Kueue lets it and so many of rollout.workers in "
        "together or not at all. The others come as there is quota for each, and go first where it is taken back.",
    )
    priority_class: str | None = Field(
        default=None,
        max_length=63,
        pattern=_CLASS,
        description="WorkloadPriorityClass of the head and the rollout pods that it begins with. Left out: Kueue goes "
        "by the pods' priorityClassName.",
        json_schema_extra=_CLASS_MESSAGE,
    )
    rollout_priority_class: str | None = Field(
        default=None,
        max_length=63,
        pattern=_CLASS,
        description="WorkloadPriorityClass of the other rollout pods. Left out: as priorityClass.",
        json_schema_extra=_CLASS_MESSAGE,
    )


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
    queue: Queue | None = Field(
        default=None, description="The queue that its pods wait in for quota. Left out: they don't wait."
    )
    template: PodTemplates = Field(
        default_factory=PodTemplates, description="Your own pod settings, merged over the built ones."
    )
