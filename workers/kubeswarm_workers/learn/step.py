"""A round's update: gradients over all micro-batches, and one or a few optimiser steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import get_args

import torch
from torch import Tensor

from kubeswarm_api.errors import KubeSwarmError
from kubeswarm_api.filters import keep
from kubeswarm_api.spec_algorithm import Algorithm
from kubeswarm_api.spec_training import Rollout
from kubeswarm_workers.learn.batch import (
    Origin,
    Row,
    Sample,
    Tensors,
    collate,
    finished,
    micro_batches,
    valued,
    weighed,
)
from kubeswarm_workers.learn.loss import TokenLoss, Tokens, policy_loss
from kubeswarm_workers.learn.mismatch import Mismatch, measure
from kubeswarm_workers.learn.model import Policy
from kubeswarm_workers.learn.schedule import learning_rate

ADAPTER_RATE = 4e-4
FULL_RATE = 2e-5
BETAS = (0.9, 0.99)


class NotFinite(KubeSwarmError):
    """The loss or its gradient is NaN or infinite. The same batch gives the same again: it takes another spec."""

    def __init__(self, round: int, loss: float, norm: float) -> None:
        super().__init__(
            f"round {round}: the loss is {loss:g} and its gradient's norm {norm:g}, so no step was taken: lower "
            "algorithm.learningRate, or algorithm.correction.cap; it goes on after the last round that was finished"
        )


@dataclass(frozen=True)
class Update:
    """What the update of a round did.

    loss, grad_norm (before it is bounded): means over its optimiser steps. tokens: completion tokens learnt from.
    filtered: completions left out, by origin and reason. mismatch: by origin, of the tokens that were computed.
    reference_kl: mean k3 estimate to the base model, None without a KL term.
    """

    loss: float = 0.0
    grad_norm: float = 0.0
    tokens: int = 0
    learning_rate: float = 0.0
    filtered: dict[str, dict[str, int]] = field(default_factory=dict)
    mismatch: dict[str, Mismatch] = field(default_factory=dict)
    reference_kl: float | None = None


class Computed:
    """The per-token results of an update's micro-batches, gathered for the meters."""

    def __init__(self) -> None:
        self._parts: list[tuple[Tensor, ...]] = []
        self._kl: list[Tensor] = []

    def add(self, batch: Tensors, old_N: Tensor, result: TokenLoss) -> None:
        """Takes a micro-batch."""
        self._parts.append(
            (old_N, batch.behaviour_N, result.importance_N, result.clipped_N, result.uncut_N, batch.local_N)
        )
        if result.kl_N is not None:
            self._kl.append(result.kl_N)

    def mismatch(self) -> dict[str, Mismatch]:
        """The meter's readings by origin."""
        *values, local_N = (torch.cat(parts) for parts in zip(*self._parts, strict=True))
        readings: dict[str, Mismatch] = {}
        for origin in get_args(Origin):
            chosen_N = local_N if origin == "local" else ~local_N
            if bool(chosen_N.any()):
                readings[origin] = measure(*(value[chosen_N] for value in values))
        return readings

    def reference_kl(self) -> float | None:
        """Its mean over all tokens."""
        return float(torch.cat(self._kl).mean()) if self._kl else None


class Learner:
    """A policy with its optimiser (AdamW without weight decay)."""

    def __init__(self, policy: Policy, algorithm: Algorithm, rollout: Rollout) -> None:
        self.policy = policy
        self.algorithm = algorithm
        self.rollout = rollout
        self.choices = algorithm.choices()
        self.set_learning_rate(algorithm.learning_rate)
        self.optimizer = torch.optim.AdamW(
            policy.trainable().values(), lr=self.peak, betas=BETAS, weight_decay=0.0, fused=True
        )
        if algorithm.gradient_checkpointing:
            policy.save_memory()

    def set_learning_rate(self, peak: float | None) -> None:
        """The peak of the schedule, from the next update on; None: the default."""
        self.peak = (FULL_RATE if self.policy.lora is None else ADAPTER_RATE) if peak is None else peak

    def update(self, rows: Sequence[Row], round: int) -> Update:
        """Learns from `rows`, a group each, in `round`; without anything to learn from the policy stays as it is.

        Raises NotFinite instead of taking a step that would ruin the policy.
        """
        rate = learning_rate(self.algorithm, self.peak, round)
        kept, filtered = self._filter(rows)
        steps = [kept[start :: self.algorithm.updates] for start in range(self.algorithm.updates)]
        plans = [plan for step in steps if (plan := self.plan(step))]
        tokens = sum(row.learnt for row in kept)
        if not plans:
            return Update(tokens=tokens, learning_rate=rate, filtered=filtered)
        self.policy.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        # Only a second step needs to know what the policy was before the first.
        olds = [self._logprobs(plan) for plan in plans] if len(plans) > 1 else [None]
        computed = Computed()
        losses: list[float] = []
        norms: list[float] = []
        for plan, old in zip(plans, olds, strict=True):
            self.optimizer.zero_grad(set_to_none=True)
            losses.append(self.gradient(plan, computed, old))
            norm = torch.nn.utils.clip_grad_norm_(self.policy.trainable().values(), self.algorithm.max_grad_norm)
            norms.append(float(norm))
            if not (math.isfinite(losses[-1]) and math.isfinite(norms[-1])):
                self.optimizer.zero_grad(set_to_none=True)
                raise NotFinite(round, losses[-1], norms[-1])
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return Update(
            sum(losses) / len(losses),
            sum(norms) / len(norms),
            tokens,
            rate,
            filtered,
            computed.mismatch(),
            computed.reference_kl(),
        )

    def plan(self, rows: Sequence[Row]) -> list[list[Row]]:
        """The micro-batches of one optimiser step on `rows`, which have advantages.

        Rows without an advantage add nothing but their tokens to the loss, and are left out, unless there is a KL term.
        """
        rows = weighed(rows, self.algorithm, self.rollout.max_episode_tokens) if rows else []
        wanted = [row for row in rows if row.informative or self.algorithm.kl_coefficient]
        return micro_batches(wanted, self.algorithm.tokens_per_micro_batch)

    def gradient(self, plan: Sequence[Sequence[Row]], computed: Computed, old: Sequence[Tensor] | None = None) -> float:
        """Adds the gradient of the loss of `plan` to the parameters; returns the loss.

        `old`: log-probabilities before the round's updates, by micro-batch; None where this is the first update.
        """
        losses: list[Tensor] = []
        for index, part in enumerate(plan):
            batch = collate(part, self.policy.device)
            reference_N = None
            if self.algorithm.kl_coefficient:
                reference_N = self.policy.reference_logprobs(batch, self.rollout.temperature)
            logprobs_N = self.policy.logprobs(batch, self.rollout.temperature)
            old_N = logprobs_N.detach() if old is None else old[index]
            tokens = Tokens(
                old_N, batch.behaviour_N, batch.advantages_N, batch.weights_N, batch.sequences_N, reference_N
            )
            result = policy_loss(
                logprobs_N, tokens, self.choices, self.algorithm.kl_coefficient, self.algorithm.kl_estimator
            )
            result.loss.backward()
            losses.append(result.loss.detach())
            computed.add(batch, old_N, result)
        return float(torch.stack(losses).sum())

    @torch.no_grad()
    def _logprobs(self, plan: Sequence[Sequence[Row]]) -> list[Tensor]:
        return [self.policy.logprobs(collate(part, self.policy.device), self.rollout.temperature) for part in plan]

    def _filter(self, rows: Sequence[Row]) -> tuple[list[Row], dict[str, dict[str, int]]]:
        """The rows to learn from, with advantages, and the completions left out."""
        kept: list[Row] = []
        filtered: dict[str, dict[str, int]] = {}
        for origin in get_args(Origin):
            own = [row for row in rows if row.origin == origin]
            indices, dropped = keep([row.rewards for row in own], self.algorithm)
            chosen = [own[index] for index in indices]
            if self.algorithm.drop_truncated:
                dropped["truncated"] += sum(sample.truncated for row in chosen for sample in row.samples)
            kept += chosen
            if any(dropped.values()):
                filtered[origin] = dict(+dropped)
        rows = valued(kept, self.algorithm) if kept else []
        return (finished(rows) if self.algorithm.drop_truncated else rows), filtered

    @torch.no_grad()
    def sequence_logprobs(self, tokens: Sequence[int]) -> list[float]:
        """Log-probabilities of tokens 1.. of a sequence at temperature 1, shape (len - 1,)."""
        self.policy.model.eval()
        sample = Sample(tuple(tokens[1:]), (0.0,) * (len(tokens) - 1), 0.0)
        row = Row(tuple(tokens[:1]), (sample,), "local")
        return self.policy.logprobs(collate([row], self.policy.device), 1.0).tolist()
