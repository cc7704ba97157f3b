"""What workers say of themselves over HTTP (/status), for the operator and for people."""

from enum import StrEnum

from pydantic import Field, ValidationError

from kubeswarm_api.base import Model


class Phase(StrEnum):
    """Where a trainer is in its life."""

    STARTING = "Starting"
    TRAINING = "Training"
    COMPLETE = "Complete"
    FAILED = "Failed"
    STOPPING = "Stopping"


class HeldOutReport(Model):
    """Means over the held-out set, in 0..1."""

    items: int = 0
    before: float | None = None
    latest: float | None = None
    exact_before: float | None = None
    exact_latest: float | None = None
    latest_error: float | None = Field(default=None, description="Half the width of the 95 % interval of `latest`.")
    exact_latest_error: float | None = Field(default=None, description="The same of `exact_latest`.")
    round: int = 0


class NodeReport(Model):
    """The trainer's /status."""

    phase: Phase
    message: str = Field(default="", max_length=4096, description="What it is doing, or what failed and the next step.")
    round: int = 0
    rounds: int = 0
    reward: float | None = None
    held_out: HeldOutReport | None = None
    samples: int = 0
    tokens: int = 0
    groups_taken: int = 0
    dropped: dict[str, int] = Field(default_factory=dict, description="Foreign groups that were not taken, by reason.")
    model: str | None = None
    checkpoint: str | None = Field(default=None, description="Directory of the last checkpoint on the Node's volume.")
    gamed: dict[str, str] = Field(
        default_factory=dict, description="Tasks whose reward rises without right answers: what was seen of each."
    )
    exchange_connected: bool | None = Field(default=None, description="None where no exchange is configured.")


class RoundReport(Model):
    """One finished round: a line of the history on the Node's volume."""

    round: int = Field(ge=1)
    reward: float = Field(description="Mean reward of the Node's own completions.")
    tasks: dict[str, dict[str, float]] = Field(
        description="By task: mean reward, tokens, truncated share, highest reward, and the components of the reward."
    )
    samples: int
    tokens: int
    taken: int = Field(description="Groups of other Nodes in the update.")
    loss_hex: str = Field(description="The loss, every bit of it.")
    meters: dict[str, float] = Field(description="What the update measured: loss, gradNorm, clipped, ...")
    model: str = Field(description="Digest of the policy after the update.")
    seconds: dict[str, float] = Field(description="By phase.")
    finished: str = Field(description="When (RFC 3339).")


def finished_rounds(history: bytes, last: int) -> list[RoundReport]:
    """The rounds up to `last` of a Node's history, in order. A line that a crash tore off is left out; of a round that
    was played again the later line counts."""
    found: dict[int, RoundReport] = {}
    for line in history.splitlines():
        try:
            report = RoundReport.model_validate_json(line)
        except ValidationError:
            continue
        found[report.round] = report
    return [found[number] for number in sorted(found) if number <= last]


class Problem(Model):
    """What stands in the attestor's way; `reason` is a value of conditions.Reason."""

    reason: str
    message: str


class AttestorReport(Model):
    """The attestor's /status."""

    node_id: str
    address: str
    registered: bool = False
    joined: bool = False
    spooled_rounds: int = 0
    attested_rounds: int = 0
    attestations: int = 0
    gas_used: int = 0
    problem: Problem | None = None
