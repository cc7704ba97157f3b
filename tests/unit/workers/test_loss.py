"""The loss of every preset against a slow, obvious reference, and its expectation on an enumerable policy."""

import itertools
import math
from typing import get_args

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from kubeswarm_api.advantages import advantages
from kubeswarm_api.aggregation import token_weights
from kubeswarm_api.filters import keep
from kubeswarm_api.presets import PRESETS, Aggregation, Baseline, Choices, CorrectionKind, KlEstimator, Preset, Scale
from kubeswarm_api.spec_algorithm import Algorithm, Correction
from kubeswarm_workers.learn.loss import Tokens, policy_loss
from kubeswarm_workers.learn.mismatch import measure
from kubeswarm_workers.learn.schedule import learning_rate

MAX_TOKENS = 4
KL = 0.3
logprob = st.floats(-4, -0.01)
#: A token: its log-probability now, before the update, under the sampler and under the reference.
completion = st.tuples(
    st.floats(-2, 2), st.lists(st.tuples(logprob, logprob, logprob, logprob), min_size=1, max_size=MAX_TOKENS)
)
batches = st.lists(st.lists(completion, min_size=2, max_size=3), min_size=1, max_size=3)
Batch = list[list[tuple[float, list[tuple[float, float, float, float]]]]]

ALGORITHMS = [
    *(Algorithm(preset=name) for name in PRESETS),
    *(Algorithm(aggregation=kind) for kind in get_args(Aggregation)),
    *(
        Algorithm(correction=Correction(kind=kind, level=level))
        for kind in ("tis", "mis", "icepop")
        for level in ("token", "sequence")
    ),
    Algorithm(correction=Correction(kind="none")),
    Algorithm(correction=Correction(kind="clip", cap=3)),
    Algorithm(preset="gspo", correction=Correction(kind="clip", cap=3)),
]


def reference_advantages(rewards: list[list[float]], baseline: Baseline, scale: Scale) -> list[list[float]]:
    """As the papers write them, number by number."""
    everything = [reward for group in rewards for reward in group]

    def spread(values: list[float]) -> float:
        return torch.tensor(values, dtype=torch.float64).std().item() if len(values) > 1 else 0.0

    result: list[list[float]] = []
    for group in rewards:
        values: list[float] = []
        for index, reward in enumerate(group):
            others = group[:index] + group[index + 1 :]
            base = {
                "group": sum(group) / len(group),
                "leaveOneOut": sum(others) / len(others) if others else 0.0,
                "batch": sum(everything) / len(everything),
                "none": 0.0,
            }[baseline]
            divisor = {"none": 1.0, "group": spread(group) + 1e-4, "batch": spread(everything) + 1e-4}[scale]
            values.append((reward - base) / divisor)
        result.append(values)
    return result


@given(
    st.lists(st.lists(st.floats(-10, 10), min_size=1, max_size=5), min_size=1, max_size=4),
    st.sampled_from(get_args(Baseline)),
    st.sampled_from(get_args(Scale)),
)
def test_advantages_equal_the_reference(rewards: list[list[float]], baseline: Baseline, scale: Scale) -> None:
    found = advantages(rewards, Algorithm(baseline=baseline, scale=scale).choices())
    expected = reference_advantages(rewards, baseline, scale)
    for row, wanted in zip(found, expected, strict=True):
        assert row == pytest.approx(wanted, rel=1e-6, abs=1e-6)


def reference_loss(batch: Batch, values: list[list[float]], choices: Choices) -> tuple[float, list[float]]:
    """The loss and its derivative by each log-probability: loops over prompts, completions and tokens."""
    completions = sum(len(group) for group in batch)
    all_tokens = sum(len(tokens) for group in batch for _, tokens in group)
    loss, derivatives = 0.0, []
    for group, group_values in zip(batch, values, strict=True):
        group_tokens = sum(len(tokens) for _, tokens in group)
        for (_, tokens), advantage in zip(group, group_values, strict=True):
            share = {
                "token": 1 / all_tokens,
                "sequence": 1 / completions / len(tokens),
                "prompt": 1 / len(batch) / group_tokens,
                "constant": 1 / completions / MAX_TOKENS,
            }[choices.aggregation]
            logs = [now - (sampler if choices.correction == "clip" else old) for now, old, sampler, _ in tokens]
            gaps = [old - sampler for _, old, sampler, _ in tokens]
            terms: list[float] = []  # d(objective) / d(log ratio of the token or the sequence)
            for index, (now, _, _, base) in enumerate(tokens):
                ratio = math.exp(logs[index] if choices.ratio == "token" else sum(logs) / len(logs))
                weight = math.exp(gaps[index] if choices.level == "token" else sum(gaps))
                if choices.correction in ("none", "clip"):
                    weight = 1.0
                elif choices.correction == "tis":
                    weight = min(weight, choices.cap)
                elif weight > choices.cap or weight < choices.floor:
                    weight = 0.0
                gain, slope = reference_surrogate(ratio, now, advantage, choices)
                loss -= share * (weight * gain - KL * (math.exp(base - now) - (base - now) - 1))
                terms.append(share * weight * slope)
            for index, (now, _, _, base) in enumerate(tokens):
                kl_slope = share * KL * (1 - math.exp(base - now))
                if choices.surrogate == "cispo" or choices.ratio == "token":
                    derivatives.append(-terms[index] + kl_slope)
                else:
                    derivatives.append(-sum(terms) / len(tokens) + kl_slope)
    return loss, derivatives


def reference_surrogate(ratio: float, now: float, advantage: float, choices: Choices) -> tuple[float, float]:
    """The objective of a token, and its slope in log ratio (in log p for cispo)."""
    if choices.surrogate == "unclipped":
        return ratio * advantage, ratio * advantage
    if choices.surrogate == "cispo":
        constant = min(ratio, 1 + choices.clip_high) * advantage
        return constant * now, constant
    low, high = 1 - choices.clip_low, 1 + choices.clip_high
    cut = min(ratio, choices.cap) if choices.correction == "clip" else ratio
    inside = min(max(ratio, low), high)
    if cut * advantage < inside * advantage:
        return cut * advantage, cut * advantage if cut == ratio else 0.0
    return inside * advantage, ratio * advantage if inside == ratio else 0.0


def tensors(batch: Batch, values: list[list[float]], choices: Choices) -> tuple[torch.Tensor, Tokens]:
    weights = token_weights([[len(tokens) for _, tokens in group] for group in batch], choices.aggregation, MAX_TOKENS)
    flat = [
        (*token, value, weight, number)
        for number, (tokens, value, weight) in enumerate(
            (tokens, value, weight)
            for group, row, shares in zip(batch, values, weights, strict=True)
            for (_, tokens), value, weight in zip(group, row, shares, strict=True)
        )
        for token in tokens
    ]
    now, old, sampler, base, advantage, weight = (
        torch.tensor(column, dtype=torch.float64) for column in list(zip(*flat, strict=True))[:6]
    )
    sequences = torch.tensor([row[6] for row in flat])
    return now.requires_grad_(), Tokens(old, sampler, advantage, weight, sequences, base)


def at_an_edge(batch: Batch, choices: Choices) -> bool:
    """At a corner of a bound the derivative is a matter of taste."""
    for group in batch:
        for _, tokens in group:
            logs = [now - (sampler if choices.correction == "clip" else old) for now, old, sampler, _ in tokens]
            gaps = [old - sampler for _, old, sampler, _ in tokens]
            for log in (*logs, sum(logs) / len(logs), *gaps, sum(gaps)):
                edges = (1 - choices.clip_low, 1 + choices.clip_high, choices.cap, choices.floor)
                if any(abs(math.exp(log) - edge) < 1e-6 for edge in edges):
                    return True
    return False


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=str)
@settings(max_examples=25, phases=[Phase.generate])
@given(batch=batches)
def test_loss_and_gradient_equal_the_reference(algorithm: Algorithm, batch: Batch) -> None:
    choices = algorithm.choices()
    if at_an_edge(batch, choices):
        return
    rewards = [[reward for reward, _ in group] for group in batch]
    values = reference_advantages(rewards, choices.baseline, choices.scale)
    now, tokens = tensors(batch, values, choices)
    result = policy_loss(now, tokens, choices, KL)
    result.loss.backward()
    loss, derivatives = reference_loss(batch, values, choices)
    assert result.loss.item() == pytest.approx(loss, rel=1e-9, abs=1e-9)
    assert now.grad is not None
    assert now.grad.tolist() == pytest.approx(derivatives, rel=1e-9, abs=1e-9)


SYMBOLS, LENGTH = 3, 2
SEQUENCES = list(itertools.product(range(SYMBOLS), repeat=LENGTH))
REWARDS = torch.tensor([0.0, 1.0, 0.3, -0.5, 2.0, 0.1, 0.7, -1.0, 0.4], dtype=torch.float64)


def logprobs_of(logits: torch.Tensor) -> torch.Tensor:
    """Of each sequence's tokens, shape (SYMBOLS ** LENGTH, LENGTH): row 0 of `logits` for the first, then by it."""
    rows = logits.log_softmax(-1)
    return torch.stack([torch.stack([rows[0, a], rows[1 + a, b]]) for a, b in SEQUENCES])


def expected_gradient(algorithm: Algorithm, logits: torch.Tensor, sampler: torch.Tensor) -> torch.Tensor:
    """Over every pair of completions of one prompt, weighed by its probability under the sampler; without 1 / T."""
    choices = algorithm.choices()
    behaviour = logprobs_of(sampler)
    probability = behaviour.sum(1).exp()
    total = torch.zeros_like(logits)
    for pair in itertools.product(range(len(SEQUENCES)), repeat=2):
        chosen = torch.tensor(pair)
        now = logprobs_of(logits)[chosen].flatten()
        [values] = advantages([REWARDS[chosen].tolist()], choices)
        repeated = torch.tensor(values, dtype=torch.float64).repeat_interleave(LENGTH)
        [weights] = token_weights([[LENGTH, LENGTH]], choices.aggregation, LENGTH)
        sequences = torch.tensor([0, 1]).repeat_interleave(LENGTH)
        shares = torch.tensor(weights, dtype=torch.float64).repeat_interleave(LENGTH)
        tokens = Tokens(now.detach(), behaviour[chosen].flatten(), repeated, shares, sequences)
        (gradient,) = torch.autograd.grad(policy_loss(now, tokens, choices).loss, logits)
        total -= probability[chosen].prod() * gradient * LENGTH
    return total


def policies() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(logits, those of another policy, the exact gradient of the mean reward)."""
    generator = torch.Generator().manual_seed(0)
    logits, other = (torch.randn(1 + SYMBOLS, SYMBOLS, dtype=torch.float64, generator=generator) for _ in range(2))
    logits.requires_grad_()
    (true,) = torch.autograd.grad((logprobs_of(logits).sum(1).exp() * REWARDS).sum(), logits)
    return logits, other, true


#: What the sample itself in its own baseline takes from the gradient: (n - 1) / n with groups and batches of 2.
SELF = {"group": 0.5, "batch": 0.5, "leaveOneOut": 1.0, "none": 1.0}


@pytest.mark.parametrize("preset", get_args(Preset))
def test_gradient_is_unbiased_on_an_enumerable_policy(preset: Preset) -> None:
    """Without a scale, which is a bias on purpose, every preset's expected gradient is the exact one."""
    logits, _, true = policies()
    algorithm = Algorithm(preset=preset, scale="none", drop_zero_variance=False)
    expected = expected_gradient(algorithm, logits, logits.detach())
    # gspo's ratio is a geometric mean, whose gradient is 1 / T of the sequence's; weights by token say the same here
    length = LENGTH if algorithm.choices().ratio == "sequence" and algorithm.choices().aggregation != "sequence" else 1
    assert torch.allclose(expected, true * SELF[algorithm.choices().baseline] / length, atol=1e-9)


@pytest.mark.parametrize("baseline", ["leaveOneOut", "none"])
def test_the_full_importance_weight_makes_up_for_another_sampler(baseline: Baseline) -> None:
    logits, other, true = policies()
    full = Algorithm(
        baseline=baseline, aggregation="constant", correction=Correction(kind="tis", level="sequence", cap=1000)
    )
    assert torch.allclose(expected_gradient(full, logits, other), true, atol=1e-9)


@pytest.mark.parametrize(
    "correction",
    [
        Correction(kind="none"),
        Correction(kind="tis", cap=1000),  # weights by token forget what came before the token
        Correction(kind="tis", level="sequence", cap=1),
        Correction(kind="mis", level="sequence", cap=1),
        Correction(kind="icepop", level="sequence", cap=1, floor=0.9),
    ],
    ids=str,
)
def test_each_truncation_is_a_bias(correction: Correction) -> None:
    """Which docs/guides/algorithms.md tells of."""
    logits, other, true = policies()
    algorithm = Algorithm(baseline="none", aggregation="constant", correction=correction)
    assert not torch.allclose(expected_gradient(algorithm, logits, other), true, atol=1e-3)


@pytest.mark.parametrize("estimator", get_args(KlEstimator))
def test_the_gradient_of_the_kl_term(estimator: KlEstimator) -> None:
    """Of one token, in expectation over the sampler: the unbiased estimator alone gives that of the divergence."""
    generator = torch.Generator().manual_seed(1)
    logits, other, base = (torch.randn(SYMBOLS, dtype=torch.float64, generator=generator) for _ in range(3))
    logits.requires_grad_()
    policy, sampler, reference = (each.log_softmax(-1) for each in (logits, other, base))
    (true,) = torch.autograd.grad((policy.exp() * (policy - reference)).sum(), logits, retain_graph=True)
    nothing = torch.zeros(SYMBOLS, dtype=torch.float64)
    tokens = Tokens(policy.detach(), sampler, nothing, sampler.exp(), torch.arange(SYMBOLS), reference)
    choices = Algorithm(correction=Correction(cap=1000)).choices()
    (found,) = torch.autograd.grad(policy_loss(policy, tokens, choices, 1.0, estimator).loss, logits)
    assert torch.allclose(found, true, atol=1e-9) is (estimator == "unbiased")


@pytest.mark.parametrize("kind", get_args(CorrectionKind))
@pytest.mark.parametrize("value", [-1e30, 0.0])
def test_what_a_stranger_says_never_breaks_the_update(kind: CorrectionKind, value: float) -> None:
    for surrogate in ("clip", "cispo"):
        choices = Algorithm(surrogate=surrogate, correction=Correction(kind=kind)).choices()
        now = torch.tensor([-0.1, -9.0], requires_grad=True)
        for sign in (1.0, -1.0):
            tokens = Tokens(
                now.detach(), torch.full((2,), value), torch.full((2,), sign), torch.ones(2), torch.tensor([0, 0])
            )
            result = policy_loss(now, tokens, choices)
            (gradient,) = torch.autograd.grad(result.loss, now)
            assert gradient.isfinite().all()
            if kind != "none":
                assert gradient.abs().max() <= 20
            read = measure(now.detach(), tokens.behaviour_N, result.importance_N, result.clipped_N, result.uncut_N)
            assert all(math.isfinite(value) for value in vars(read).values())


@given(st.lists(st.tuples(logprob, logprob, st.sampled_from([0.5, 1.0, 2.0]), st.booleans()), min_size=1, max_size=30))
def test_the_meter_equals_a_slow_one(rows: list[tuple[float, float, float, bool]]) -> None:
    learner, sampler, uncut = (torch.tensor(column) for column in list(zip(*rows, strict=True))[:3])
    weights = torch.where(uncut > 1, 0.0, uncut.clamp(max=0.75))
    read = measure(learner, sampler, weights, torch.tensor([row[3] for row in rows]), uncut)
    logs = sorted(a - b for a, b in zip(learner.tolist(), sampler.tolist(), strict=True))
    size = len(rows)
    applied = [0.0 if row[2] > 1 else min(row[2], 0.75) for row in rows]
    expected = {
        "tokens": size,
        "gap": sum(abs(log) for log in logs) / size,
        "k1": sum(-log for log in logs) / size,
        "k3": sum(math.exp(log) - 1 - log for log in logs) / size,
        "p50": math.exp(next(log for rank, log in enumerate(logs, 1) if rank >= size / 2)),
        "p99": math.exp(next(log for rank, log in enumerate(logs, 1) if rank >= size * 0.99)),
        "largest": math.exp(logs[-1]),
        "clipped": sum(row[3] for row in rows) / size,
        "capped": sum(row[2] == 1.0 for row in rows) / size,
        "masked": sum(row[2] == 2.0 for row in rows) / size,
        "effective": sum(applied) ** 2 / size / sum(weight**2 for weight in applied) if any(applied) else 0.0,
    }
    assert vars(read) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert read.k3 >= 0


def test_filters_leave_out_what_teaches_nothing() -> None:
    groups = [[1.0, 1.0], [0.0, 1.0], [0.0, 0.1], [0.9, 1.0]]
    assert keep(groups, Algorithm()) == ([0, 1, 2, 3], {})
    assert keep(groups, Algorithm(preset="dapo")) == ([1, 2, 3], {"zero_variance": 2})
    band = Algorithm(min_mean_reward=0.1, max_mean_reward=0.9, drop_zero_variance=True)
    assert keep(groups, band) == ([1], {"difficulty": 6})


def test_the_learning_rate_rises_and_falls() -> None:
    linear = Algorithm(warmup_rounds=2, decay="linear", decay_rounds=6)
    assert [learning_rate(linear, 1.0, each) for each in range(1, 8)] == [0.5, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    cosine = Algorithm(decay="cosine", decay_rounds=4)
    assert [learning_rate(cosine, 2.0, each) for each in (1, 3, 5)] == pytest.approx([2.0, 1.0, 0.0])
    assert {learning_rate(Algorithm(), 0.1, each) for each in (1, 1000)} == {0.1}
