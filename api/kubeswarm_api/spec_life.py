"""When training ends early, when it has failed for good, and when what is finished goes."""

from pydantic import Field

from kubeswarm_api.base import Model


class StopWhen(Model):
    """What ends a Node's training before its rounds are done: whichever comes first. It then counts as complete."""

    held_out_reward: float | None = Field(
        default=None, gt=0, le=1, description="The latest held-out reward is at least this."
    )
    seconds: int | None = Field(default=None, ge=1, description="So many seconds have gone by since it was created.")
    tokens: int | None = Field(default=None, ge=1, description="It has sampled so many tokens.")
    gas: int | None = Field(default=None, ge=1, description="Its attestations have used so much gas.")


class FailurePolicy(Model):
    """What ends a Node's training as Failed. Until then whatever ends is started again, with growing pauses."""

    max_restarts: int | None = Field(
        default=None,
        ge=0,
        le=10000,
        description="Restarts of the head pod's containers after which it has failed. Left out: it is tried for ever.",
    )
    deadline_seconds: int | None = Field(
        default=None,
        ge=1,
        description="Seconds since it was created after which it has failed unless it is complete. Left out: none.",
    )
