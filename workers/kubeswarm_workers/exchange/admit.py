"""What a message from a stranger must pass before anything of it is believed."""

from dataclasses import dataclass

from kubeswarm_api.errors import InvalidBatch
from kubeswarm_api.names import groups_subject
from kubeswarm_api.records import Digest
from kubeswarm_api.rollouts import SignedBatch
from kubeswarm_workers.ports import Notary


@dataclass(frozen=True)
class Refused:
    """Why a message is not taken (one of `rollouts.DROP_REASONS`), and for how many groups it counts."""

    reason: str
    groups: int
    cause: str


def admit(data: bytes, subject: str, swarm_id: Digest, notary: Notary) -> SignedBatch | Refused:
    """Checks size, schema, who published it, the signature over its recomputed root, and membership, in this order.

    Raises OSError while attestor or chain can't say, so that it has to be asked again.
    """
    try:
        signed = SignedBatch.decode(data)
    except InvalidBatch as error:
        return Refused(error.reason, 1, str(error))
    batch = signed.batch
    groups = max(1, len(batch.groups))
    # The server lets a Node publish on its own subject only: a batch of another Node there is a copy.
    if batch.swarm_id != swarm_id or subject != groups_subject(swarm_id, batch.node_id):
        return Refused("membership", groups, f"{batch.node_id} in swarm {batch.swarm_id} came over {subject}")
    try:
        notary.verify(signed)
    except InvalidBatch as error:
        return Refused(error.reason, groups, str(error))
    except (OverflowError, ValueError) as error:  # a number that the encoding of leaves can't hold
        return Refused("digest", groups, f"the root can't be computed: {error}")
    return signed
