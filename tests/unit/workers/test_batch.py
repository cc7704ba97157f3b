"""Packing, micro-batching and order change the work, never the result: for every preset and every aggregation."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kubeswarm_api.presets import PRESETS, Aggregation, Preset
from kubeswarm_api.spec_algorithm import Algorithm
from kubeswarm_api.spec_model import Lora
from kubeswarm_api.spec_training import Rollout
from kubeswarm_workers.learn.batch import Row, Sample, collate, micro_batches, valued, weighed
from kubeswarm_workers.learn.model import Policy
from kubeswarm_workers.learn.step import Computed, Learner, NotFinite

lengths = st.lists(st.tuples(st.integers(1, 30), st.lists(st.integers(1, 20), min_size=1, max_size=6)), max_size=8)
ROLLOUT = Rollout(max_tokens=25)


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


@pytest.fixture(scope="module")
def policy(tiny_model: Path) -> Policy:
    return Policy(tiny_model, None, seed=0)


def random_rows(policy: Policy, seed: int, spread: float = 0.5) -> list[Row]:
    """Groups of the policy's own making, up to `spread`: the sampler's log-probabilities are off by that much."""
    generator = torch.Generator().manual_seed(seed)

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=generator))

    rows = [
        Row(
            tuple(number(2, 90) for _ in range(number(3, 40))),
            tuple(
                Sample(tuple(number(2, 90) for _ in range(size)), (0.0,) * size, number(-10, 10) / 10)
                for size in (number(1, 25) for _ in range(3))
            ),
            "local" if number(0, 2) else "external",
        )
        for _ in range(4)
    ]
    with torch.no_grad():
        return [
            replace(row, samples=tuple(_behave(policy, row, sample, spread, generator) for sample in row.samples))
            for row in rows
        ]


def _behave(policy: Policy, row: Row, sample: Sample, spread: float, generator: torch.Generator) -> Sample:
    alone = Row(row.prompt, (sample,), row.origin)
    logprobs = policy.logprobs(collate([alone], policy.device), 1.0)
    noisy = logprobs + spread * torch.randn(len(logprobs), generator=generator)
    return replace(sample, behaviour=tuple(noisy.clamp(max=0).tolist()))


def gradient(
    policy: Policy, algorithm: Algorithm, plan: Sequence[Sequence[Row]]
) -> tuple[float, torch.Tensor, list[torch.Tensor]]:
    """The loss and its gradient, old log-probabilities that differ from the new ones included."""
    learner = Learner(policy, algorithm, ROLLOUT)
    learner.optimizer.zero_grad(set_to_none=True)
    with torch.no_grad():  # a policy from before: a pattern by token, so that it doesn't depend on how rows are cut
        old = [
            policy.logprobs(batch, 1.0) + ((batch.targets_N % 7) - 3) / 20
            for batch in (collate(part, policy.device) for part in plan)
        ]
    loss = learner.gradient(plan, Computed(), old)
    grads = [each.grad.flatten() for each in policy.trainable().values() if each.grad is not None]
    return loss, torch.cat(grads), grads


CASES = [Algorithm(preset=name, kl_coefficient=0.1 if name == "grpo" else 0) for name in PRESETS] + [
    Algorithm(aggregation=aggregation, ratio=ratio)
    for aggregation in get_args(Aggregation)
    for ratio in ("token", "sequence")
]


@pytest.mark.parametrize("algorithm", CASES, ids=lambda a: f"{a.preset}-{a.aggregation}-{a.ratio}")
@settings(
    max_examples=2,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_loss_and_gradient_do_not_depend_on_how_the_batch_is_cut(
    policy: Policy, algorithm: Algorithm, data: st.DataObject
) -> None:
    rows = weighed(valued(random_rows(policy, data.draw(st.integers(0, 99))), algorithm), algorithm, ROLLOUT.max_tokens)
    one_by_one = [[Row(row.prompt, (sample,), row.origin)] for row in rows for sample in row.samples]
    shuffled = data.draw(st.permutations(rows))
    losses, grads, _ = zip(*(gradient(policy, algorithm, [part]) for part in one_by_one), strict=True)
    loss, grad = sum(losses), torch.stack(grads).sum(0)
    other_loss, other_grad, _ = gradient(policy, algorithm, micro_batches(shuffled, data.draw(st.integers(64, 4096))))
    # Terms of either sign may all but cancel (CISPO's are log-probabilities): they are rounded by their own size.
    assert other_loss == pytest.approx(loss, abs=1e-6 * max(1.0, sum(map(abs, losses))))
    assert float((other_grad - grad).abs().max()) <= 1e-6 * max(1.0, float(torch.linalg.vector_norm(grad)))


def test_packed_logprobs_are_those_of_each_sequence_alone(policy: Policy) -> None:
    [row] = random_rows(policy, 2)[:1]
    learner = Learner(policy, Algorithm(), ROLLOUT)
    with torch.no_grad():
        packed = policy.logprobs(collate([row], policy.device), 1.0)
    alone = [
        value
        for sample in row.samples
        for value in learner.sequence_logprobs([*row.prompt, *sample.tokens])[len(row.prompt) - 1 :]
    ]
    assert packed.tolist() == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("preset", get_args(Preset))
def test_rows_without_advantage_count_but_cost_nothing(policy: Policy, preset: Preset) -> None:
    """What `plan` leaves out adds nothing: with those rows computed as well the gradient is the same."""
    algorithm = Algorithm(preset=preset, baseline="group", drop_zero_variance=False)
    level = [
        replace(row, samples=tuple(replace(sample, reward=0.5) for sample in row.samples))
        for row in random_rows(policy, 3)[:2]
    ]
    rows = valued([*level, *random_rows(policy, 3)[2:]], algorithm)
    learner = Learner(policy, algorithm, ROLLOUT)
    plan = learner.plan(rows)
    assert sum(len(row.samples) for part in plan for row in part) == 6
    loss, grad, _ = gradient(policy, algorithm, plan)
    everything = micro_batches(weighed(rows, algorithm, ROLLOUT.max_tokens), 4096)
    other_loss, other_grad, _ = gradient(policy, algorithm, everything)
    assert other_loss == pytest.approx(loss, abs=1e-6)
    assert torch.allclose(other_grad, grad, rtol=1e-4, atol=1e-6)


def test_gradient_checkpointing_changes_memory_alone(tiny_model: Path) -> None:
    for lora in (None, Lora(rank=4, alpha=8)):
        gradients = []
        for checkpointing in (False, True):
            policy = Policy(tiny_model, lora, seed=0)
            algorithm = Algorithm(gradient_checkpointing=checkpointing)
            learner = Learner(policy, algorithm, ROLLOUT)
            policy.model.train()
            assert policy.model.is_gradient_checkpointing is checkpointing
            kept = 0

            def count(tensor: torch.Tensor) -> torch.Tensor:
                nonlocal kept
                kept += tensor.numel()
                return tensor

            plan = learner.plan(valued(random_rows(policy, 1), algorithm))
            with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
                loss, grad, _ = gradient(policy, algorithm, plan)
            gradients.append((loss, grad, kept))
        (loss, grad, kept), (other_loss, other_grad, other_kept) = gradients
        assert (other_loss, torch.equal(other_grad, grad)) == (loss, True)
        assert other_kept != kept


@pytest.mark.parametrize("updates", [1, 2])
def test_a_learning_rate_of_0_leaves_every_bit_as_it_was(tiny_model: Path, updates: int) -> None:
    policy = Policy(tiny_model, None, seed=0)
    before = {name: parameter.detach().clone() for name, parameter in policy.trainable().items()}
    learner = Learner(policy, Algorithm(learning_rate=0, updates=updates, kl_coefficient=0.1), ROLLOUT)
    rows = random_rows(policy, 4, spread=0.0)
    for round in (1, 2):
        update = learner.update(rows, round)
        assert update.grad_norm > 0 and update.learning_rate == 0
        assert update.reference_kl == pytest.approx(0, abs=1e-9)
        assert sum(read.tokens for read in update.mismatch.values()) == sum(row.learnt for row in rows)
        for read in update.mismatch.values():
            assert read.k3 == pytest.approx(0, abs=1e-9) and read.largest == pytest.approx(1, abs=1e-4)
            assert (read.clipped, read.capped, read.masked) == (0, 0, 0)
    assert all(torch.equal(policy.trainable()[name], value) for name, value in before.items())


def test_a_second_step_is_measured_against_the_policy_before_the_first(tiny_model: Path) -> None:
    """With a large learning rate the second step's ratios leave the clip; with one step there is nothing to clip."""
    for updates, clips in ((1, False), (2, True)):
        policy = Policy(tiny_model, None, seed=0)
        learner = Learner(policy, Algorithm(learning_rate=3e-3, updates=updates), ROLLOUT)
        update = learner.update(random_rows(policy, 4, spread=0.0), 1)
        assert any(read.clipped > 0 for read in update.mismatch.values()) is clips


def test_filtered_groups_are_counted_and_do_not_count(policy: Policy) -> None:
    rows = random_rows(policy, 6)
    level = replace(rows[0], origin="local", samples=tuple(replace(each, reward=1.0) for each in rows[0].samples))
    learner = Learner(policy, Algorithm(learning_rate=0, drop_zero_variance=True), ROLLOUT)
    with_level, without = learner.update([level, *rows[1:]], 1), learner.update(rows[1:], 1)
    assert with_level.filtered == {"local": {"zero_variance": 3}}
    assert (with_level.loss, with_level.tokens) == (without.loss, without.tokens)


def test_cut_off_completions_stay_in_the_baseline_alone(policy: Policy) -> None:
    """As with the others' advantages taken from whole groups, and the cut ones left out of rows and weights."""
    rows = random_rows(policy, 7)
    cut = [replace(row, samples=(replace(row.samples[0], truncated=True), *row.samples[1:])) for row in rows]
    algorithm = Algorithm(learning_rate=0, drop_truncated=True)
    update = Learner(policy, algorithm, ROLLOUT).update(cut, 1)
    by_origin = Counter(row.origin for row in rows)
    assert update.filtered == {origin: {"truncated": count} for origin, count in by_origin.items()}
    expected = [replace(row, samples=row.samples[1:]) for row in valued(rows, algorithm)]
    learner = Learner(policy, algorithm, ROLLOUT)
    loss = learner.gradient(learner.plan(expected), Computed())
    assert update.loss == pytest.approx(loss, abs=1e-7)
    assert update.tokens == sum(row.learnt for row in expected)
    assert Learner(policy, Algorithm(learning_rate=0), ROLLOUT).update(cut, 1).filtered == {}


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_never_stepped_on(tiny_model: Path, broken: float) -> None:
    policy = Policy(tiny_model, None, seed=0)
    learner = Learner(policy, Algorithm(), ROLLOUT)
    rows = random_rows(policy, 8)
    learner.update(rows, 1)
    before = {name: each.detach().clone() for name, each in policy.trainable().items()}
    spoilt = replace(rows[0], samples=(replace(rows[0].samples[0], reward=broken), *rows[0].samples[1:]))
    with pytest.raises(NotFinite, match=r"round 2: .* lower algorithm\.learningRate"):
        learner.update([spoilt, *rows[1:]], 2)
    assert all(torch.equal(policy.trainable()[name], value) for name, value in before.items())
    learner.update(rows, 2)  # and the learner can go on
