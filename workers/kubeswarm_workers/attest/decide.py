"""When which rounds go to the chain. Pure: what was seen goes in, what to do comes out."""

import math
from dataclasses import dataclass

from kubeswarm_api.spec_training import Attestation


@dataclass(frozen=True)
class Attest:
    """Attest the rounds `first` to `last`, both included."""

    first: int
    last: int


@dataclass(frozen=True)
class Wait:
    """Nothing is due before `seconds` have passed (infinite: before another round is finished)."""

    seconds: float


def decide(
    next_round: int, last_spooled: int, oldest_age: float, settings: Attestation, flush: bool, limit: int
) -> Attest | Wait:
    """What to do about the rounds in the spool that the chain does not have.

    `next_round`: the first that the chain lacks. `oldest_age`: seconds since it was written. `flush`: no more rounds
    will come, so that waiting for company is pointless. `limit`: most rounds an attestation may hold.
    """
    pending = last_spooled - next_round + 1
    if pending <= 0:
        return Wait(math.inf)
    remaining = settings.seconds - oldest_age
    if flush or pending >= settings.rounds or remaining <= 0:
        return Attest(next_round, min(last_spooled, next_round + limit - 1))
    return Wait(remaining)
