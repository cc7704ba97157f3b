"""A frozen batch through TRL's GRPOTrainer and through ours: the same loss and the same gradient norm."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from kubeswarm_api.spec_algorithm import Algorithm, Correction
from kubeswarm_api.spec_training import Rollout
from kubeswarm_workers.learn.batch import Row, Sample, collate, micro_batches, valued, weighed
from kubeswarm_workers.learn.model import Policy
from kubeswarm_workers.learn.step import Computed, Learner

PROMPTS = ["turn round: abc", "abcd backwards", "and this one: xyzw"]
COMPLETIONS = ["cba", "<answer>cb</answer>", "c", "dcba!", "dc", "abcd", "wzyx", "wz", "<answer>wzyx</answer>"]
REWARDS = [1.0, 0.2, 0.0, 0.9, 0.3, 0.3, 0.0, 0.1, 1.0]
GROUP = 3
MAX_TOKENS = 24
NOISE = 0.4

#: (ours, TRL's settings)
CASES: dict[str, tuple[Algorithm, dict[str, Any]]] = {
    "grpo": (
        Algorithm(scale="group", aggregation="sequence", correction=Correction(kind="none")),
        {"loss_type": "grpo", "scale_rewards": "group"},
    ),
    "grpo with KL": (
        Algorithm(scale="group", aggregation="sequence", kl_coefficient=0.05, correction=Correction(kind="none")),
        {"loss_type": "grpo", "scale_rewards": "group", "beta": 0.05, "use_bias_correction_kl": False},
    ),
    "grpo with an unbiased KL": (
        Algorithm(
            scale="group",
            aggregation="sequence",
            kl_coefficient=0.05,
            kl_estimator="unbiased",
            correction=Correction(kind="none"),
        ),
        {"loss_type": "grpo", "scale_rewards": "group", "beta": 0.05, "use_bias_correction_kl": True},
    ),
    "gspo": (
        Algorithm(preset="gspo", correction=Correction(kind="none")),
        {
            "loss_type": "grpo",
            "scale_rewards": "group",
            "importance_sampling_level": "sequence",
            "epsilon": 3e-4,
            "epsilon_high": 4e-4,
        },
    ),
    "dr_grpo": (
        Algorithm(preset="dr_grpo", correction=Correction(kind="none")),
        {"loss_type": "dr_grpo", "scale_rewards": "none"},
    ),
    "dapo": (
        Algorithm(preset="dapo", correction=Correction(kind="none")),
        {"loss_type": "dapo", "scale_rewards": "group", "epsilon_high": 0.28},
    ),
    "bnpo, scaled by the batch": (
        Algorithm(scale="batch", correction=Correction(kind="none")),
        {"loss_type": "bnpo", "scale_rewards": "batch"},
    ),
    "bnpo, by sequence": (
        Algorithm(ratio="sequence", correction=Correction(kind="none")),
        {"loss_type": "bnpo", "scale_rewards": "none", "importance_sampling_level": "sequence"},
    ),
    "cispo": (
        Algorithm(surrogate="cispo", scale="batch", clip_high=4.0, correction=Correction(kind="none")),
        {"loss_type": "cispo", "scale_rewards": "batch", "epsilon_high": 5.0},
    ),
    "truncated by token": (
        Algorithm(correction=Correction(kind="tis", cap=1.2)),
        {"loss_type": "bnpo", "scale_rewards": "none", "mode": "token_truncate", "cap": 1.2},
    ),
    "masked by sequence": (
        Algorithm(correction=Correction(kind="mis", level="sequence", cap=1.2)),
        {"loss_type": "bnpo", "scale_rewards": "none", "mode": "sequence_mask", "cap": 1.2},
    ),
}


@pytest.fixture(scope="module")
def rows(tiny_model: Path, characters: Callable[[], PreTrainedTokenizerFast]) -> list[Row]:
    """The batch: what a sampler near the model is said to have made."""
    tokenizer = characters()
    policy = Policy(tiny_model, None, seed=0)
    generator = torch.Generator().manual_seed(5)
    found: list[Row] = []
    for number, prompt in enumerate(PROMPTS):
        tokens = tuple(tokenizer(prompt)["input_ids"])
        group = slice(number * GROUP, (number + 1) * GROUP)
        samples: list[Sample] = []
        for text, reward in zip(COMPLETIONS[group], REWARDS[group], strict=True):
            sample = Sample(tuple(tokenizer(text)["input_ids"]), (0.0,) * len(text), reward)
            with torch.no_grad():
                logprobs = policy.logprobs(collate([Row(tokens, (sample,), "local")], policy.device), 1.0)
            noisy = logprobs + NOISE * torch.randn(len(logprobs), generator=generator)
            samples.append(replace(sample, behaviour=tuple(noisy.tolist())))
        found.append(Row(tokens, tuple(samples), "local"))
    return found


def moved(model: torch.nn.Module) -> None:
    """Away from where the old and the reference log-probabilities were taken, the same way each time."""
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator) * parameter.abs().mean())


def norm_of(model: torch.nn.Module) -> float:
    grads = [parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None]
    return float(torch.linalg.vector_norm(torch.cat(grads)))


def ours(tiny_model: Path, algorithm: Algorithm, rows: list[Row]) -> tuple[float, float]:
    policy = Policy(tiny_model, None, seed=0)
    learner = Learner(policy, algorithm, Rollout(max_tokens=MAX_TOKENS))
    plan = micro_batches(weighed(valued(rows, algorithm), algorithm, MAX_TOKENS), 200)
    with torch.no_grad():
        old = [policy.logprobs(collate(part, policy.device), 1.0) for part in plan]
    moved(policy.model)
    return learner.gradient(plan, Computed(), old), norm_of(policy.model)


def theirs(
    tiny_model: Path, tokenizer: PreTrainedTokenizerFast, settings: dict[str, Any], rows: list[Row], folder: Path
) -> tuple[float, float]:
    """TRL's own code from the sampled tokens on: rewards to advantages, weights, loss, backward pass."""
    settings = dict(settings)
    mode, cap = settings.pop("mode", None), settings.pop("cap", None)

    def rollout(prompts: list[str], trainer: Any) -> dict[str, Any]:
        samples = [(row.prompt, sample) for row in rows for sample in row.samples]
        return {
            "prompt_ids": [list(prompt) for prompt, _ in samples],
            "completion_ids": [list(sample.tokens) for _, sample in samples],
            "logprobs": [list(sample.behaviour) for _, sample in samples],
        }

    def reward(completions: list[str], **_: Any) -> list[float | None]:
        assert completions == COMPLETIONS
        return [*REWARDS]

    trainer: Any = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32),
        reward_funcs=reward,
        args=GRPOConfig(
            output_dir=str(folder),
            per_device_train_batch_size=len(REWARDS),
            gradient_accumulation_steps=1,
            num_generations=GROUP,
            num_iterations=2,  # so that the log-probabilities before the update are kept
            max_completion_length=MAX_TOKENS,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            report_to=[],
            **settings,
        ),
        train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in PROMPTS]),
        processing_class=tokenizer,
        rollout_func=rollout,
    )
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    if mode is not None:  # what vLLM's presence switches on; the weights themselves are TRL's work
        trainer.use_vllm, trainer._last_loaded_step = True, trainer.state.global_step
        trainer.vllm_importance_sampling_correction, trainer.vllm_importance_sampling_mode = True, mode
        trainer.vllm_importance_sampling_clip_min, trainer.vllm_importance_sampling_clip_max = None, cap
    inputs = trainer._generate_and_score_completions([{"prompt": prompt} for prompt in PROMPTS for _ in range(GROUP)])
    moved(trainer.model)
    loss = trainer.compute_loss(trainer.model, inputs)
    loss.backward()
    return float(loss), norm_of(trainer.model)


@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradient_norm_are_trls(
    tiny_model: Path,
    tmp_path: Path,
    rows: list[Row],
    characters: Callable[[], PreTrainedTokenizerFast],
    case: str,
) -> None:
    algorithm, settings = CASES[case]
    loss, norm = ours(tiny_model, algorithm, rows)
    their_loss, their_norm = theirs(tiny_model, characters(), settings, rows, tmp_path)
    assert norm > 1e-3
    assert loss == pytest.approx(their_loss, abs=1e-5)
    assert norm == pytest.approx(their_norm, rel=1e-5, abs=1e-5)
