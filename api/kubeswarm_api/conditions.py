"""Conditions as values: their types, and the reasons each can give (one CamelCase word each)."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from kubeswarm_api.base import Model


class ConditionType(StrEnum):
    """What a condition is about."""

    READY = "Ready"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    COMPLETE = "Complete"
    FAILED = "Failed"
    CHAIN_SYNCED = "ChainSynced"
    EXCHANGE_READY = "ExchangeReady"
    REWARD_GAMED = "RewardGamed"


class Reason(StrEnum):
    """Why a condition has its status."""

    # as it should be
    TRAINING = "Training"
    ROUNDS_COMPLETE = "RoundsComplete"
    STOPPED_EARLY = "StoppedEarly"
    AS_EXPECTED = "AsExpected"
    SYNCED = "Synced"
    CONNECTED = "Connected"
    NOT_CONFIGURED = "NotConfigured"
    # under way
    PENDING = "Pending"
    CREATING = "Creating"
    QUEUED = "Queued"
    STARTING = "Starting"
    SCALING = "Scaling"
    ROLLING_OUT = "RollingOut"
    UPDATE_PENDING = "UpdatePending"
    ROUNDS_REMAIN = "RoundsRemain"
    ATTESTING = "Attesting"
    REGISTERING = "Registering"
    # wanted by the user
    SUSPENDED = "Suspended"
    UPDATE_PAUSED = "UpdatePaused"
    DELETING = "Deleting"
    # what is wrong
    INVALID_SPEC = "InvalidSpec"
    NAME_TAKEN = "NameTaken"
    SWARM_NOT_FOUND = "SwarmNotFound"
    SECRET_NOT_FOUND = "SecretNotFound"
    CONFIG_MAP_NOT_FOUND = "ConfigMapNotFound"
    CLAIM_NOT_FOUND = "ClaimNotFound"
    CLAIM_PENDING = "ClaimPending"
    CLAIM_LOST = "ClaimLost"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    UNSCHEDULABLE = "Unschedulable"
    SCHEDULING_GATED = "SchedulingGated"
    CONTAINER_CONFIG_ERROR = "ContainerConfigError"
    MODEL_NOT_FOUND = "ModelNotFound"
    CRASH_LOOP = "CrashLoop"
    NODE_LOST = "NodeLost"
    QUOTA_EXCEEDED = "QuotaExceeded"
    VOLUME_FULL = "VolumeFull"
    CHECKPOINT_DAMAGED = "CheckpointDamaged"
    LOSS_NOT_FINITE = "LossNotFinite"
    ENVIRONMENT_FAILED = "EnvironmentFailed"
    OUT_OF_MEMORY = "OutOfMemory"
    POD_REFUSED = "PodRefused"
    ADMISSION_DENIED = "AdmissionDenied"
    POD_NOT_READY = "PodNotReady"
    TRAINER_FAILED = "TrainerFailed"
    UPDATE_STALLED = "UpdateStalled"
    ROLLED_BACK = "RolledBack"
    NODES_DEGRADED = "NodesDegraded"
    NODES_FAILED = "NodesFailed"
    RESTARTS_EXHAUSTED = "RestartsExhausted"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    CHAIN_UNREACHABLE = "ChainUnreachable"
    CHAIN_REJECTED = "ChainRejected"
    CHAIN_RESET = "ChainReset"
    KEY_UNFUNDED = "KeyUnfunded"
    FEE_ABOVE_CAP = "FeeAboveCap"
    SIGNER_UNREACHABLE = "SignerUnreachable"
    SPOOL_DAMAGED = "SpoolDamaged"
    SPOOL_FILLING = "SpoolFilling"
    EXCHANGE_UNREACHABLE = "ExchangeUnreachable"
    API_REFUSED = "ApiRefused"
    DEFINITION_OUTDATED = "DefinitionOutdated"
    REWARD_GAMED = "RewardGamed"
    FORBIDDEN = "Forbidden"


class Condition(Model):
    """One observation of an object's state, as in Kubernetes' metav1.Condition."""

    type: str = Field(max_length=64, description="What it is about.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: str = Field(min_length=1, max_length=64, description="Why, in one CamelCase word.")
    message: str = Field(default="", max_length=4096, description="Why, for a person: names the pod and the next step.")
    observed_generation: int = Field(default=0, ge=0, description="The generation of the spec that it was made from.")
    last_transition_time: str = Field(max_length=32, description="When status last changed (RFC 3339).")


#: What is said of an object until the operator speaks: a default of its status, so that the API server says it itself.
PENDING = Condition(
    type=ConditionType.READY,
    status="Unknown",
    reason=Reason.PENDING,
    message="the operator's first word comes once it is Ready or something is wrong, or after 30 s (later where "
    "hundreds start at once): if it doesn't, see whether the operator runs",
    last_transition_time="1970-01-01T00:00:00Z",
)
