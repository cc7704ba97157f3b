"""Advantages and loss against slow, obvious references, and the gradient's expectation on an enumerable policy."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_api.spec_training import Algorithm, Correction
from kubeswarm_workers.learn.advantages import group_advantages
from kubeswarm_workers.learn.loss import policy_loss

rewards = st.lists(st.floats(-10, 10), min_size=1, max_size=16)
token = st.tuples(
    st.floats(-5, -0.01),  # log-probability now
    st.floats(-5, -0.01),  # before the update
    st.floats(-5, -0.01),  # of the sampler
    st.floats(-2, 2),  # advantage
)


@given(rewards)
def test_advantages_are_centred_and_keep_differences(values: list[float]) -> None:
    advantages = group_advantages(values)
    assert sum(advantages) == pytest.approx(0, abs=1e-9)
    for (a, b), (x, y) in zip(itertools.pairwise(advantages), itertools.pairwise(values), strict=True):
        assert a - b == pytest.approx(x - y, abs=1e-9)


def test_advantages_are_not_divided_by_the_deviation() -> None:
    assert group_advantages([0.0, 1.0]) == [-0.5, 0.5]
    assert group_advantages([0.0, 0.1]) == pytest.approx([-0.05, 0.05])
    assert group_advantages([]) == []


def reference(tokens: list[tuple[float, ...]], algorithm: Algorithm) -> tuple[float, list[float]]:
    """The loss and its derivative by each log-probability, token by token."""
    loss, derivatives = 0.0, []
    for now, old, sampler, advantage in tokens:
        weight = min(math.exp(old - sampler), algorithm.correction.cap) if algorithm.correction.kind == "tis" else 1.0
        ratio = math.exp(now - old)
        bounded = min(max(ratio, 1 - algorithm.clip_low), 1 + algorithm.clip_high)
        plain, clipped = ratio * advantage, bounded * advantage
        loss -= weight * min(plain, clipped) / len(tokens)
        derivatives.append(-weight * plain / len(tokens) if plain <= clipped else 0.0)
    return loss, derivatives


@given(st.lists(token, min_size=1, max_size=20), st.sampled_from(["tis", "none"]), st.floats(1, 10))
def test_loss_and_gradient_equal_the_reference(tokens: list[tuple[float, ...]], kind: str, cap: float) -> None:
    algorithm = Algorithm(correction=Correction.model_validate({"kind": kind, "cap": cap}))
    now, old, sampler, advantages = (torch.tensor(each, dtype=torch.float64) for each in zip(*tokens, strict=True))
    # At a corner of the clip the derivative is a matter of taste.
    ratios = (now - old).exp()
    edges = torch.tensor([1 - algorithm.clip_low, 1 + algorithm.clip_high], dtype=torch.float64)
    if bool(((ratios[:, None] - edges).abs() < 1e-6).any()):
        return
    now.requires_grad_()
    result = policy_loss(now, old, sampler, advantages, len(tokens), algorithm)
    result.loss.backward()
    loss, derivatives = reference(tokens, algorithm)
    assert result.loss.item() == pytest.approx(loss, rel=1e-9, abs=1e-12)
    assert now.grad is not None
    moving = [0.0 if value == 0 else value for value in derivatives]
    assert now.grad.tolist() == pytest.approx(moving, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("off_policy", [False, True])
def test_gradient_is_unbiased_on_an_enumerable_policy(off_policy: bool) -> None:
    """The expectation of the gradient over every pair of samples is the true gradient of the mean reward.

    One-token completions of 4 symbols in groups of 2; the group's mean includes the sample itself, which scales the
    gradient by (G - 1) / G. With rollouts of another policy and a cap out of reach, the correction makes up for it.
    """
    torch.manual_seed(0)
    size = 4
    logits = torch.randn(size, dtype=torch.float64, requires_grad=True)
    sampler = (torch.randn(size, dtype=torch.float64) if off_policy else logits.detach()).log_softmax(0)
    reward = torch.tensor([0.0, 1.0, 0.3, -0.5], dtype=torch.float64)
    algorithm = Algorithm(correction=Correction(kind="tis", cap=100.0))
    # The baseline is the mean reward under the sampler, so that only the sampled token's own part is corrected.
    expected = torch.zeros(size, dtype=torch.float64)
    for pair in itertools.product(range(size), repeat=2):
        chosen = torch.tensor(pair)
        probability = sampler[chosen].sum().exp()
        now = logits.log_softmax(0)[chosen]
        advantages = torch.tensor(group_advantages(reward[chosen].tolist()), dtype=torch.float64)
        result = policy_loss(now, now.detach(), sampler[chosen], advantages, len(pair), algorithm)
        (gradient,) = torch.autograd.grad(result.loss, logits)
        expected -= probability * gradient
    (true,) = torch.autograd.grad((logits.softmax(0) * reward).sum(), logits)
    # Each sample's term is w * (r - mean): the other half of its group's mean has expectation 0 with w * grad log p,
    # its own half takes away 1 / G.
    assert expected.tolist() == pytest.approx((true / 2).tolist(), abs=1e-12)


def test_truncation_bounds_the_weight_of_a_foreign_token() -> None:
    algorithm = Algorithm()
    now = torch.tensor([-0.1], requires_grad=True)
    result = policy_loss(now, now.detach(), torch.tensor([-9.0]), torch.tensor([1.0]), 1, algorithm)
    result.loss.backward()
    assert now.grad is not None and now.grad.item() == pytest.approx(-algorithm.correction.cap)
    assert result.clipped.item() == 1
