"""The trainer's side of the attestor's socket."""

import time
from pathlib import Path
from typing import TypeVar

import httpx

from kubeswarm_api.base import Model
from kubeswarm_api.encoding import from_hex, to_hex
from kubeswarm_api.errors import InvalidBatch
from kubeswarm_api.records import Address
from kubeswarm_api.rollouts import SignedBatch
from kubeswarm_workers.attest.messages import SignRequest, SignResponse, State, VerifyRequest, VerifyResponse

#: Seconds that the attestor may take to appear, and to answer: it may be starting again.
START_SECONDS = 60.0
ANSWER_SECONDS = 10.0
RETRY_SECONDS = 0.2
M = TypeVar("M", bound=Model)


class AttestorUnreachable(OSError):
    """The attestor does not answer, or can't at present. The message says why."""


class SocketNotary:
    """A `ports.Notary`. Threads may share it."""

    def __init__(self, socket: Path) -> None:
        """Raises AttestorUnreachable if there is no attestor within START_SECONDS."""
        self._socket = socket
        self._client = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://attestor", timeout=ANSWER_SECONDS
        )
        self._node_id = self._ask("state", None, State, START_SECONDS).node_id

    @property
    def node_id(self) -> Address:
        """This Node's identity on chain."""
        return self._node_id

    def sign(self, round: int, root: bytes) -> bytes:
        """The 65-byte signature over (swarm, node, round, root). Raises AttestorUnreachable, an OSError."""
        asked = SignRequest(round=round, digest=to_hex(root))
        return from_hex(self._ask("sign", asked, SignResponse, ANSWER_SECONDS).signature, 65)

    def verify(self, batch: SignedBatch) -> None:
        """Raises InvalidBatch (signature, membership); AttestorUnreachable while attestor or chain can't say."""
        asked = VerifyRequest(
            node_id=batch.batch.node_id,
            round=batch.batch.round,
            digest=to_hex(batch.batch.root()),
            signature=to_hex(batch.signature),
        )
        answer = self._ask("verify", asked, VerifyResponse, ANSWER_SECONDS)
        if answer.reason is not None:
            raise InvalidBatch(answer.reason, answer.message)

    def _ask(self, what: str, body: Model | None, answer: type[M], seconds: float) -> M:
        """One request, repeated while nobody listens, for at most about `seconds`."""
        end = time.monotonic() + seconds
        while True:
            try:
                response = self._send(what, body)
                break
            except httpx.TransportError as error:
                if time.monotonic() >= end:
                    raise AttestorUnreachable(
                        f"no answer from the attestor at {self._socket} ({type(error).__name__}): look at its log"
                    ) from error
                time.sleep(RETRY_SECONDS)
        if response.status_code != httpx.codes.OK:
            raise AttestorUnreachable(
                f"the attestor answered {what} with {response.status_code}: {response.text[:500]}"
            )
        return answer.model_validate_json(response.content)

    def _send(self, what: str, body: Model | None) -> httpx.Response:
        if body is None:
            return self._client.get(f"/v1/{what}")
        return self._client.post(f"/v1/{what}", json=body.to_json())
