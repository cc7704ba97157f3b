"""Packing and micro-batching change the work, never the result."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_api.spec_training import Algorithm
from kubeswarm_workers.learn.batch import Row, Sample, micro_batches
from kubeswarm_workers.learn.model import Policy
from kubeswarm_workers.learn.step import Learner

lengths = st.lists(st.tuples(st.integers(1, 30), st.lists(st.integers(1, 20), min_size=1, max_size=6)), max_size=8)


def row_of(prompt: int, samples: list[int]) -> Row:
    return Row(
        tuple(range(prompt)),
        tuple(Sample(tuple(range(size)), (-1.0,) * size, float(index)) for index, size in enumerate(samples)),
        "local",
    )


@given(lengths, st.integers(1, 200))
def test_micro_batches_keep_every_sample_and_the_budget(shapes: list[tuple[int, list[int]]], tokens: int) -> None:
    rows = [row_of(prompt, samples) for prompt, samples in shapes]
    batches = micro_batches(rows, tokens)
    kept = Counter((row.prompt, sample) for batch in batches for row in batch for sample in row.samples)
    assert kept == Counter((row.prompt, sample) for row in rows for sample in row.samples)
    for batch in batches:
        padded = len(batch) * max(row.length for row in batch)
        assert padded <= tokens or (len(batch) == 1 and len(batch[0].samples) == 1)


def random_rows(seed: int) -> list[Row]:
    generator = torch.Generator().manual_seed(seed)

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=generator))

    return [
        Row(
            tuple(number(2, 90) for _ in range(number(3, 40))),
            tuple(
                Sample(
                    tuple(number(2, 90) for _ in range(size)),
                    tuple(-0.5 - number(0, 100) / 20 for _ in range(size)),
                    number(-10, 10) / 10,
                )
                for size in (number(1, 25) for _ in range(4))
            ),
            "local" if number(0, 2) else "external",
        )
        for _ in range(5)
    ]


def gradient(policy: Policy, rows: list[Row], tokens: int) -> tuple[float, torch.Tensor]:
    learner = Learner(policy, Algorithm(tokens_per_micro_batch=tokens), temperature=1.0)
    learner.optimizer.zero_grad(set_to_none=True)
    loss, _, _ = learner.gradient(rows)
    return loss, torch.cat([each.grad.flatten() for each in policy.trainable().values() if each.grad is not None])


def test_loss_and_gradient_do_not_depend_on_micro_batches(tiny_model: Path) -> None:
    policy = Policy(tiny_model, None, seed=0)
    rows = random_rows(1)
    one_by_one = [Row(row.prompt, (sample,), row.origin) for row in rows for sample in row.samples]
    loss, grad = gradient(policy, one_by_one, 64)
    for tokens, order in ((64, rows), (150, rows[::-1]), (4096, rows), (100_000, one_by_one)):
        other_loss, other_grad = gradient(policy, order, tokens)
        assert other_loss == pytest.approx(loss, abs=1e-6)
        assert torch.allclose(other_grad, grad, rtol=1e-4, atol=1e-6)


def test_packed_logprobs_are_those_of_each_sequence_alone(tiny_model: Path) -> None:
    policy = Policy(tiny_model, None, seed=0)
    [row] = random_rows(2)[:1]
    learner = Learner(policy, Algorithm(), temperature=1.0)
    from kubeswarm_workers.learn.batch import collate

    with torch.no_grad():
        packed = policy.logprobs(collate([row], policy.device), 1.0)
    alone = [
        value
        for sample in row.samples
        for value in learner.sequence_logprobs([*row.prompt, *sample.tokens])[len(row.prompt) - 1 :]
    ]
    assert packed.tolist() == pytest.approx(alone, abs=1e-5)


def test_rows_without_advantage_count_but_cost_nothing(tiny_model: Path) -> None:
    policy = Policy(tiny_model, None, seed=0)
    rows = random_rows(3)
    level = [
        Row(row.prompt, tuple(Sample(each.tokens, each.behaviour, 0.0) for each in row.samples), row.origin)
        for row in rows[:2]
    ]
    loss, grad = gradient(policy, rows[2:], 4096)
    with_level, grad_with_level = gradient(policy, [*level, *rows[2:]], 4096)
    share = sum(row.learnt for row in rows[2:]) / sum(row.learnt for row in [*level, *rows[2:]])
    assert with_level == pytest.approx(loss * share, abs=1e-6)
    assert torch.allclose(grad_with_level, grad * share, rtol=1e-4, atol=1e-6)
