"""From groups of completions to packed rows, and from those to micro-batches of a bounded number of tokens.

The completions of a prompt lie behind one copy of it in a row, each blind to the others: P + G x C tokens of work
instead of G x (P + C).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from kubeswarm_api.advantages import advantages
from kubeswarm_api.aggregation import token_weights
from kubeswarm_api.rollouts import Group, sampled
from kubeswarm_api.spec_algorithm import Algorithm

Origin = Literal["local", "external"]


@dataclass(frozen=True)
class Sample:
    """A completion to learn from: token ids and the sampler's log-probabilities, both of shape (T,), and its reward;
    truncated: it ended at the token limit.

    Tokens that the environment put there (`given`, see rollouts.Completion) are read, and never learnt.
    The advantage, and the weight of each token in the loss, follow from the whole batch: see `valued` and `weighed`.
    """

    tokens: tuple[int, ...]
    behaviour: tuple[float, ...]
    reward: float
    given: tuple[int, ...] = ()
    truncated: bool = False
    advantage: float = 0.0
    weight: float = 0.0

    @property
    def learnt(self) -> list[int]:
        """Which tokens the loss is over, as indices."""
        return [index for index, own in enumerate(sampled(len(self.tokens), self.given)) if own]


@dataclass(frozen=True)
class Row:
    """Samples of one prompt, to be packed behind one copy of it: its whole group, until it is split."""

    prompt: tuple[int, ...]
    samples: tuple[Sample, ...]
    origin: Origin

    @property
    def length(self) -> int:
        """Tokens of the packed row."""
        return len(self.prompt) + sum(len(sample.tokens) for sample in self.samples)

    @property
    def learnt(self) -> int:
        """Sampled tokens: what the loss is over."""
        return sum(len(sample.learnt) for sample in self.samples)

    @property
    def rewards(self) -> list[float]:
        """Of each sample."""
        return [sample.reward for sample in self.samples]

    @property
    def informative(self) -> bool:
        """Whether any sample has an advantage: without, a policy gradient is 0."""
        return any(sample.advantage for sample in self.samples)


def rows_of(groups: Sequence[Group], origin: Origin) -> list[Row]:
    """A row a group."""
    return [
        Row(
            tuple(group.prompt_tokens),
            tuple(
                Sample(tuple(each.tokens), tuple(each.logprobs), each.reward, tuple(each.given), each.truncated)
                for each in group.completions
            ),
            origin,
        )
        for group in groups
    ]


def valued(rows: Sequence[Row], algorithm: Algorithm) -> list[Row]:
    """The same rows, a group each, with advantages."""
    values = advantages([row.rewards for row in rows], algorithm.choices())
    return [_with(row, "advantage", group) for row, group in zip(rows, values, strict=True)]


def finished(rows: Sequence[Row]) -> list[Row]:
    """The same rows without the samples that were cut off (overlong filtering of DAPO: Yu et al., arXiv 2503.14476)."""
    kept = [replace(row, samples=tuple(each for each in row.samples if not each.truncated)) for row in rows]
    return [row for row in kept if row.samples]


def weighed(rows: Sequence[Row], algorithm: Algorithm, max_tokens: int) -> list[Row]:
    """The same rows, a group each, with the weights of their tokens; they are the whole of one optimiser step."""
    lengths = [[len(sample.learnt) for sample in row.samples] for row in rows]
    weights = token_weights(lengths, algorithm.choices().aggregation, max_tokens)
    return [_with(row, "weight", group) for row, group in zip(rows, weights, strict=True)]


def _with(row: Row, field: str, values: Sequence[float]) -> Row:
    samples = zip(row.samples, values, strict=True)
    return replace(row, samples=tuple(replace(sample, **{field: value}) for sample, value in samples))


def split(row: Row, tokens: int) -> list[Row]:
    """The row in parts of at most `tokens` tokens, each with the prompt again; a part has at least one sample."""
    parts: list[list[Sample]] = [[]]
    used = len(row.prompt)
    for sample in row.samples:
        if parts[-1] and used + len(sample.tokens) > tokens:
            parts.append([])
            used = len(row.prompt)
        parts[-1].append(sample)
        used += len(sample.tokens)
    return [Row(row.prompt, tuple(part), row.origin) for part in parts]


def micro_batches(rows: Sequence[Row], tokens: int) -> list[list[Row]]:
    """Rows by length, longest first, cut so that rows x longest row stays within `tokens` (at least a row each)."""
    batches: list[list[Row]] = []
    for row in sorted((part for row in rows for part in split(row, tokens)), key=lambda row: -row.length):
        if batches and (len(batches[-1]) + 1) * batches[-1][0].length <= tokens:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


@dataclass(frozen=True)
class Tensors:
    """B packed rows, padded on the right to L tokens, with N sampled tokens in all.

    attend_B_1_L_L is True where a query (third axis) sees a key; rows_N and columns_N say where the hidden state is
    that predicts each sampled token; sequences_N numbers the completions from 0.
    """

    tokens_B_L: Tensor
    positions_B_L: Tensor
    attend_B_1_L_L: Tensor
    rows_N: Tensor
    columns_N: Tensor
    targets_N: Tensor
    behaviour_N: Tensor
    advantages_N: Tensor
    weights_N: Tensor
    sequences_N: Tensor
    local_N: Tensor


def collate(rows: Sequence[Row], device: torch.device) -> Tensors:
    """Packed rows as tensors. Padding is token 0 that sees, and is seen by, itself alone."""
    longest = max(row.length for row in rows)
    tokens: list[list[int]] = []
    positions: list[list[int]] = []
    segments: list[list[int]] = []
    places: list[tuple[int, int]] = []
    for index, row in enumerate(rows):
        length = len(row.prompt)
        ids, where, part = list(row.prompt), list(range(length)), [0] * length
        for number, sample in enumerate(row.samples, start=1):
            start = len(ids)
            ids += sample.tokens
            where += range(length, length + len(sample.tokens))
            part += [number] * len(sample.tokens)
            places += [(index, start + at - 1 if at else length - 1) for at in sample.learnt]
        padding = longest - len(ids)
        tokens.append(ids + [0] * padding)
        positions.append(where + [0] * padding)
        segments.append(part + [-1] * padding)
    segments_B_L = torch.tensor(segments)
    keys_B_1_L, queries_B_L_1 = segments_B_L[:, None, :], segments_B_L[:, :, None]
    causal_L_L = torch.ones(longest, longest, dtype=torch.bool).tril()
    attend_B_L_L = causal_L_L & ((keys_B_1_L == 0) | ((keys_B_1_L == queries_B_L_1) & (keys_B_1_L > 0)))
    attend_B_L_L = attend_B_L_L | torch.eye(longest, dtype=torch.bool)
    learnt = [
        (number, row, sample, at)
        for number, (row, sample) in enumerate((row, sample) for row in rows for sample in row.samples)
        for at in sample.learnt
    ]
    return Tensors(
        torch.tensor(tokens, device=device),
        torch.tensor(positions, device=device),
        attend_B_L_L[:, None].to(device),
        torch.tensor([row for row, _ in places], device=device),
        torch.tensor([column for _, column in places], device=device),
        torch.tensor([sample.tokens[at] for _, _, sample, at in learnt], device=device),
        torch.tensor([sample.behaviour[at] for _, _, sample, at in learnt], device=device),
        torch.tensor([sample.advantage for _, _, sample, _ in learnt], device=device),
        torch.tensor([sample.weight for _, _, sample, _ in learnt], device=device),
        torch.tensor([number for number, _, _, _ in learnt], device=device),
        torch.tensor([row.origin == "local" for _, row, _, _ in learnt], device=device),
    )
