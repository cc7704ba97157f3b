"""The policy-gradient loss: pure functions of tensors.

Shapes: N tokens of a micro-batch, all of them completion tokens, flat; S completions, to which `sequences_N` assigns
the tokens (a completion is never cut). Names: logprobs of the policy as it is (with gradient), old of the policy before
the round's updates, behaviour of the one that sampled.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kubeswarm_api.presets import Choices, KlEstimator

#: Logarithms of ratios are cut at +- this: what a stranger says of its log-probabilities must never give inf or NaN.
LOG_LIMIT = 20.0


@dataclass(frozen=True)
class Tokens:
    """What the loss of a micro-batch is a function of, beside the log-probabilities.

    weights: how much each token counts (aggregation). old and reference have no gradient; reference is None without a
    KL term.
    """

    old_N: Tensor
    behaviour_N: Tensor
    advantages_N: Tensor
    weights_N: Tensor
    sequences_N: Tensor
    reference_N: Tensor | None = None


@dataclass(frozen=True)
class TokenLoss:
    """`loss` has the gradient; per token: whether the surrogate's clip acted, the importance weight before and after
    its bounds, the KL to the reference."""

    loss: Tensor
    clipped_N: Tensor
    uncut_N: Tensor
    importance_N: Tensor
    kl_N: Tensor | None


def policy_loss(
    logprobs_N: Tensor,
    tokens: Tokens,
    choices: Choices,
    kl_coefficient: float = 0.0,
    kl_estimator: KlEstimator = "k3",
) -> TokenLoss:
    """- sum of weights x (importance x surrogate - kl_coefficient x KL)."""
    anchor_N = tokens.behaviour_N if choices.correction == "clip" else tokens.old_N
    ratio_N = ratio(logprobs_N - anchor_N, tokens.sequences_N, choices)
    gain_N, clipped_N = surrogate(ratio_N, logprobs_N, tokens.advantages_N, choices)
    uncut_N = importance(tokens.old_N, tokens.behaviour_N, tokens.sequences_N, choices)
    importance_N = bounded(uncut_N, choices)
    objective_N = importance_N * gain_N
    kl_N = None
    if tokens.reference_N is not None:
        kl_N = k3(logprobs_N, tokens.reference_N)
        drawn_N = 1.0
        if kl_estimator == "unbiased":
            drawn_N = importance_N * (logprobs_N - anchor_N).clamp(-LOG_LIMIT, LOG_LIMIT).exp()
        objective_N = objective_N - kl_coefficient * drawn_N * kl_N
        kl_N = kl_N.detach()
    return TokenLoss(-(tokens.weights_N * objective_N).sum(), clipped_N, uncut_N, importance_N, kl_N)


def ratio(log_ratio_N: Tensor, sequences_N: Tensor, choices: Choices) -> Tensor:
    """New over old probability, of each token or as the geometric mean over its completion.

    token: PPO (Schulman et al., arXiv 1707.06347). sequence: GSPO (Zheng et al., arXiv 2507.18071).
    """
    if choices.ratio == "sequence":
        lengths_S = _sums(torch.ones_like(log_ratio_N), sequences_N)
        log_ratio_N = (_sums(log_ratio_N, sequences_N) / lengths_S)[sequences_N]
    return log_ratio_N.clamp(-LOG_LIMIT, LOG_LIMIT).exp()


def surrogate(ratio_N: Tensor, logprobs_N: Tensor, advantages_N: Tensor, choices: Choices) -> tuple[Tensor, Tensor]:
    """(objective of each token, whether a bound takes gradient from it or cuts its weight).

    clip: min(r A, clip(r, 1 - low, 1 + high) A): PPO, with the two bounds of DAPO (Yu et al., arXiv 2503.14476). With
    correction clip r is also cut at `cap` in the first term, which bounds negative advantages: the two-sided clip of
    INTELLECT-2 (arXiv 2505.07291).
    cispo: sg(min(r, 1 + high)) A log p: MiniMax-M1 (Chen et al., arXiv 2506.13585).
    unclipped: r A: REINFORCE (Williams, 1992), importance-weighted after the first update.
    """
    if choices.surrogate == "unclipped":
        return ratio_N * advantages_N, torch.zeros_like(ratio_N, dtype=torch.bool)
    if choices.surrogate == "cispo":
        most = 1 + choices.clip_high
        return ratio_N.detach().clamp(max=most) * advantages_N * logprobs_N, ratio_N.detach() > most
    bounded_N = ratio_N.clamp(1 - choices.clip_low, 1 + choices.clip_high)
    cut_N = ratio_N.clamp(max=choices.cap) if choices.correction == "clip" else ratio_N
    gain_N = torch.minimum(cut_N * advantages_N, bounded_N * advantages_N)
    return gain_N, gain_N.detach() != ratio_N.detach() * advantages_N


def importance(old_N: Tensor, behaviour_N: Tensor, sequences_N: Tensor, choices: Choices) -> Tensor:
    """w = old / behaviour, without gradient: what a token counts because another policy sampled it. 1 without weights.

    At level sequence it is the product over the completion: only so is a gradient unbiased, at the price of variance.
    """
    if choices.correction in ("none", "clip"):
        return torch.ones_like(behaviour_N)
    log_N = old_N.detach() - behaviour_N
    if choices.level == "sequence":
        log_N = _sums(log_N, sequences_N)[sequences_N]
    return log_N.clamp(-LOG_LIMIT, LOG_LIMIT).exp()


def bounded(importance_N: Tensor, choices: Choices) -> Tensor:
    """The importance weights as they are applied.

    tis: min(w, cap): Ionides, "Truncated importance sampling" (2008); for the gap between a fast sampler and the
    learner Yao et al., "Your efficient RL framework secretly brings you off-policy training" (2025).
    mis: w, and 0 where w > cap: Liu et al., "When speed kills stability" (2025).
    icepop: w, and 0 outside [floor, cap]: Ling team, "Every step evolves" (arXiv 2510.18855).
    """
    if choices.correction in ("none", "clip"):
        return importance_N
    if choices.correction == "tis":
        return importance_N.clamp(max=choices.cap)
    inside_N = (importance_N <= choices.cap) & (importance_N >= choices.floor)
    return importance_N.where(inside_N, 0.0)


def k3(logprobs_N: Tensor, reference_N: Tensor) -> Tensor:
    """exp(d) - d - 1 with d = reference - policy: an estimate of KL(policy || reference) that is never negative.

    Schulman, "Approximating KL divergence" (2020); in GRPO: Shao et al., arXiv 2402.03300. Its expectation is right for
    samples of the policy itself; its gradient isn't that of the KL. Multiplied by policy / sampler, through which the
    gradient goes too, both are right: the estimator "unbiased" (DeepSeek-V3.2, arXiv 2512.02556, eq. 7).
    """
    difference_N = reference_N - logprobs_N
    return difference_N.exp() - difference_N - 1


def _sums(values_N: Tensor, sequences_N: Tensor) -> Tensor:
    """The sums over completions, shape (S,)."""
    size = int(sequences_N.max()) + 1
    return torch.zeros(size, dtype=values_N.dtype, device=values_N.device).index_add(0, sequences_N, values_N)
