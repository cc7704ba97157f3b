"""The mismatch meter: how far the samplers' policies are from the learner's, and what the bounds did about it."""

import math
from dataclasses import dataclass

from torch import Tensor

from kubeswarm_workers.learn.loss import LOG_LIMIT


@dataclass(frozen=True)
class Mismatch:
    """Of the tokens of one origin; r = learner / sampler of a token, log r cut at +- LOG_LIMIT.

    gap: mean |log r|. k1 = mean of -log r and k3 = mean of r - 1 - log r estimate KL(sampler || learner); k3 has the
    smaller variance and is never negative. p50, p99, largest: of r. clipped: share of tokens whose ratio the surrogate
    clipped. capped, masked: share whose importance weight was cut, or set to 0. effective: effective share of samples,
    (sum of w)^2 / (n x sum of w^2) with the weights as applied; 1 where all weigh the same.
    """

    tokens: int
    gap: float
    k1: float
    k3: float
    p50: float
    p99: float
    largest: float
    clipped: float
    capped: float
    masked: float
    effective: float

    def rounded(self) -> dict[str, float]:
        """For a log line: five significant digits."""
        return {name: float(f"{value:.5g}") for name, value in vars(self).items()}


def measure(learner_N: Tensor, sampler_N: Tensor, weights_N: Tensor, clipped_N: Tensor, uncut_N: Tensor) -> Mismatch:
    """The reading of N > 0 tokens: log-probabilities, importance weights as applied, and what they were uncut."""
    log_N = (learner_N - sampler_N).double().clamp(-LOG_LIMIT, LOG_LIMIT)
    ratio_N = log_N.exp()
    ordered_N = ratio_N.sort().values
    weights_N, uncut_N = weights_N.double(), uncut_N.double()
    masked_N = (weights_N == 0) & (uncut_N > 0)
    total = float(weights_N.square().sum())
    return Mismatch(
        tokens=len(log_N),
        gap=float(log_N.abs().mean()),
        k1=float(-log_N.mean()),
        k3=float((ratio_N - 1 - log_N).mean()),
        p50=_quantile(ordered_N, 0.5),
        p99=_quantile(ordered_N, 0.99),
        largest=float(ordered_N[-1]),
        clipped=float(clipped_N.double().mean()),
        capped=float(((weights_N < uncut_N) & ~masked_N).double().mean()),
        masked=float(masked_N.double().mean()),
        effective=float(weights_N.sum().square()) / (len(log_N) * total) if total else 0.0,
    )


def _quantile(ordered_N: Tensor, share: float) -> float:
    """The smallest value that at least `share` of the values don't exceed."""
    return float(ordered_N[math.ceil(share * len(ordered_N)) - 1])
