"""The learning rate of a round: a function of the spec and the round alone, so that a resumed run has the same."""

import math

from kubeswarm_api.spec_algorithm import Algorithm


def learning_rate(algorithm: Algorithm, peak: float, round: int) -> float:
    """The rate of `round`, counted from 1.

    It rises linearly and reaches `peak` in round warmupRounds; the next round has it in full, and from there on it
    falls, linearly or as half a cosine (Loshchilov and Hutter, arXiv 1608.03983), to 0 after decayRounds.
    """
    if round <= algorithm.warmup_rounds:
        return peak * round / algorithm.warmup_rounds
    if algorithm.decay_rounds is None:
        return peak
    done = (round - 1 - algorithm.warmup_rounds) / (algorithm.decay_rounds - algorithm.warmup_rounds)
    done = min(done, 1.0)
    return peak * (1 - done if algorithm.decay == "linear" else (1 + math.cos(math.pi * done)) / 2)
