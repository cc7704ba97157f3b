"""What goes over the attestor's socket."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from kubeswarm_api.base import Model
from kubeswarm_api.records import Address, Digest

Signature = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-f]{130}$")]

#: No request is larger.
MAX_REQUEST_BYTES = 2048


class State(Model):
    """GET /v1/state: who the attestor signs for."""

    node_id: Address
    swarm_id: Digest


class SignRequest(Model):
    """POST /v1/sign. Swarm and Node are the attestor's own: nothing else can be asked for."""

    round: int = Field(ge=1, lt=2**63)
    digest: Digest


class SignResponse(Model):
    """The EIP-712 signature over RolloutBatch(swarmId, nodeId, round, digest)."""

    signature: Signature


class VerifyRequest(Model):
    """POST /v1/verify: a batch of another Node."""

    node_id: Address
    round: int = Field(ge=1, lt=2**63)
    digest: Digest
    signature: Signature


class VerifyResponse(Model):
    """`reason` is None where the signature counts. 503 is answered while the chain can't be read."""

    reason: Literal["signature", "membership"] | None = None
    message: str = ""
