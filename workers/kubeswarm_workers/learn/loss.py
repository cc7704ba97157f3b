"""The policy-gradient loss: pure functions of tensors.

Shapes: N tokens of a micro-batch, all of them completion tokens, flat. The normaliser is the token count of the whole
batch, so that the sum over micro-batches does not depend on how the batch was cut.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kubeswarm_api.spec_training import Algorithm


@dataclass(frozen=True)
class TokenLoss:
    """`loss` has the gradient; `clipped` is how many tokens a bound acted on."""

    loss: Tensor
    clipped: Tensor


def importance(old_N: Tensor, behaviour_N: Tensor, cap: float) -> Tensor:
    """min(learner / sampler, cap) per token, without gradient: truncated importance sampling.

    Ionides, "Truncated importance sampling" (2008); for the gap between a fast sampler and the learner see Yao et
    al., "Your efficient RL framework secretly brings you off-policy training" (2025).
    """
    return torch.exp(old_N.detach() - behaviour_N).clamp(max=cap)


def policy_loss(
    logprobs_N: Tensor,
    old_N: Tensor,
    behaviour_N: Tensor,
    advantages_N: Tensor,
    batch_tokens: int,
    algorithm: Algorithm,
) -> TokenLoss:
    """-(1 / batch_tokens) * sum of w * min(r * A, clip(r, 1 - low, 1 + high) * A).

    r = exp(logprobs - old) is the ratio to the policy before this update (PPO, Schulman et al., arXiv 1707.06347,
    eq. 7; separate bounds as in DAPO, arXiv 2503.14476), and w the correction for who sampled the token. The token
    mean over the whole batch is DAPO's too.
    """
    correction = algorithm.correction
    ratio_N = torch.exp(logprobs_N - old_N.detach())
    bounded_N = ratio_N.clamp(1.0 - algorithm.clip_low, 1.0 + algorithm.clip_high)
    gain_N = torch.minimum(ratio_N * advantages_N, bounded_N * advantages_N)
    clipped_N = bounded_N * advantages_N < ratio_N * advantages_N
    if correction.kind == "tis":
        gain_N = gain_N * importance(old_N, behaviour_N, correction.cap)
        clipped_N = clipped_N | (old_N.detach() - behaviour_N > torch.tensor(correction.cap).log())
    return TokenLoss(-gain_N.sum() / batch_tokens, clipped_N.sum())
