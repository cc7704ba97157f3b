"""When training ends early, when it has failed for good, and how a change gets to the Nodes."""

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


class Update(Model):
    """How a change that replaces pods (of the spec, of images) gets to a Swarm's Nodes: as a Deployment's to its pods.

    A change that needs no new pods (rollout.workers, algorithm.learningRate, sharing) goes to all of them at once.
    """

    max_unavailable: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Nodes that aren't ready at a time. A Node that isn't ready anyway gets the change at once; one "
        "that doesn't get ready with it holds the others back.",
    )
    min_ready_seconds: int = Field(
        default=10, ge=0, le=3600, description="Seconds that a Node is ready before the next one gets the change."
    )
    paused: bool = Field(
        default=False, description="No Node gets a change that replaces its pods, and none goes back from one."
    )
    progress_deadline_seconds: int = Field(
        default=600, ge=1, le=86400, description="Seconds in which a Node gets ready with a change, or it has failed."
    )
    rollback: bool = Field(
        default=True,
        description="A Node for which a change has failed gets the pods back with which it was ready before, and the "
        "others keep theirs, until the spec or the image is another one. The spec stays as it is.",
    )
