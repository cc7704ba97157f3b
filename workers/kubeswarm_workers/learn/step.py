"""One update: gradients over all micro-batches, one optimiser step."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kubeswarm_api.spec_training import Algorithm
from kubeswarm_workers.learn.batch import Row, Sample, collate, micro_batches
from kubeswarm_workers.learn.loss import policy_loss
from kubeswarm_workers.learn.model import Policy

ADAPTER_RATE = 4e-4
FULL_RATE = 2e-5
BETAS = (0.9, 0.99)


@dataclass(frozen=True)
class Update:
    """What one update did. `gap` is the mean |learner - sampler| log-probability, by origin of the tokens."""

    loss: float
    grad_norm: float
    clipped: float
    tokens: int
    gap: dict[str, float]


class Learner:
    """A policy with its optimiser (AdamW without weight decay, constant learning rate)."""

    def __init__(self, policy: Policy, algorithm: Algorithm, temperature: float) -> None:
        self.policy = policy
        self.algorithm = algorithm
        self.temperature = temperature
        rate = algorithm.learning_rate or (FULL_RATE if policy.lora is None else ADAPTER_RATE)
        self.optimizer = torch.optim.AdamW(policy.trainable().values(), lr=rate, betas=BETAS, weight_decay=0.0)

    def gradient(self, rows: Sequence[Row]) -> tuple[float, int, dict[str, float]]:
        """Adds the gradient of the loss over `rows` to the parameters; returns loss, clipped tokens and gaps.

        One optimiser step follows each batch, so that the policy before the update is the one in the forward pass.
        Rows whose advantages are all 0 add nothing but their tokens, and are not computed.
        """
        batch_tokens = sum(row.learnt for row in rows)
        losses: list[Tensor] = []
        clipped = 0
        gaps: dict[str, list[Tensor]] = {"local": [], "external": []}
        informative = [row for row in rows if any(sample.advantage for sample in row.samples)]
        for part in micro_batches(informative, self.algorithm.tokens_per_micro_batch):
            batch = collate(part, self.policy.device)
            logprobs_N = self.policy.logprobs(batch, self.temperature)
            result = policy_loss(
                logprobs_N, logprobs_N.detach(), batch.behaviour_N, batch.advantages_N, batch_tokens, self.algorithm
            )
            result.loss.backward()
            losses.append(result.loss.detach())
            clipped += int(result.clipped)
            gap_N = (logprobs_N.detach() - batch.behaviour_N).abs()
            gaps["local"].append(gap_N[batch.local_N])
            gaps["external"].append(gap_N[~batch.local_N])
        means = {origin: torch.cat(parts) for origin, parts in gaps.items() if parts}
        return (
            float(torch.stack(losses).sum()) if losses else 0.0,
            clipped,
            {origin: float(values.mean()) for origin, values in means.items() if len(values)},
        )

    def update(self, rows: Sequence[Row]) -> Update:
        """One step on `rows`; without a difference in reward to learn from nothing changes."""
        tokens = sum(row.learnt for row in rows)
        if not any(sample.advantage for row in rows for sample in row.samples):
            return Update(0.0, 0.0, 0.0, tokens, {})
        self.policy.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        loss, clipped, gap = self.gradient(rows)
        norm = torch.nn.utils.clip_grad_norm_(self.policy.trainable().values(), self.algorithm.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return Update(loss, float(norm), clipped / tokens, tokens, gap)

    @torch.no_grad()
    def sequence_logprobs(self, tokens: Sequence[int]) -> list[float]:
        """Log-probabilities of tokens 1.. of a sequence at temperature 1, shape (len - 1,)."""
        self.policy.model.eval()
        sample = Sample(tuple(tokens[1:]), (0.0,) * (len(tokens) - 1), 0.0)
        row = Row(tuple(tokens[:1]), (sample,), "local")
        return self.policy.logprobs(collate([row], self.policy.device), 1.0).tolist()
