"""TRL's GRPOTrainer as its user gets it on this machine: the model's own generate(), one process."""

import math
import time
from typing import Any, cast

import torch
from datasets import Dataset  # pyright: ignore[reportMissingTypeStubs]
from peft import LoraConfig
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer  # pyright: ignore[reportPrivateImportUsage]

from hack.bench.learner.setting import LORA, RATE, THREADS, Measured, Setting, end_round
from hack.bench.learner.setting import rewards as setting_rewards
from kubeswarm_workers.environments.contract import answers as answers_of

#: Completions of one forward and backward pass: those of 64 take 20 GB.
AT_A_TIME = 64


class Clock(TrainerCallback):
    """Seconds of each step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        self._begun = time.monotonic()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.seconds.append(time.monotonic() - self._begun)
        end_round(len(self.seconds))


def run(setting: Setting, folder: str) -> Measured:
    """Trains in `folder`. The loss is the same as ours: token mean, no division by the deviation, one step a batch."""
    torch.set_num_threads(THREADS)
    environment = setting.environment()
    prompts = [prompt for round in range(1, setting.rounds + 1) for prompt in setting.drawn(environment, round)]
    data = Dataset.from_list(
        [
            {
                "prompt": [{"role": turn.role, "content": turn.content} for turn in prompt.turns],
                "task": prompt.task,
                "item": prompt.item,
            }
            for prompt in prompts
        ]
    )
    rewards: list[float] = []

    def reward(completions: list[list[dict[str, str]]], task: list[str], item: list[int], **_: Any) -> list[float]:
        answers = [completion[0]["content"] for completion in completions]
        each = [answers_of(name, number, [answer]) for name, number, answer in zip(task, item, answers, strict=True)]
        scored = [reward for [reward] in setting_rewards(environment, each)]
        rewards.append(sum(scored) / len(scored))
        return scored

    completions = setting.prompts * setting.group_size
    parts = math.ceil(completions / AT_A_TIME)
    clock = Clock()
    trainer = GRPOTrainer(
        model=str(setting.model),
        reward_funcs=cast(Any, reward),
        args=GRPOConfig(
            output_dir=folder,
            seed=setting.seed,
            max_steps=setting.rounds,
            per_device_train_batch_size=completions // parts,
            gradient_accumulation_steps=parts,
            num_generations=setting.group_size,
            max_completion_length=setting.max_tokens,
            shuffle_dataset=False,
            learning_rate=RATE,
            lr_scheduler_type="constant",
            weight_decay=0.0,
            adam_beta2=0.99,
            max_grad_norm=setting.algorithm.max_grad_norm,
            beta=0.0,
            loss_type="dapo",
            scale_rewards="none",
            temperature=1.0,
            gradient_checkpointing=False,
            bf16=True,
            model_init_kwargs={"dtype": "bfloat16"},
            use_cpu=not torch.cuda.is_available(),
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=data,
        peft_config=LoraConfig(r=LORA.rank, lora_alpha=LORA.alpha, target_modules="all-linear", lora_dropout=0.0),
        callbacks=[clock],
    )
    trainer.train()
    environment.close()
    tokens = [entry["num_tokens"] for entry in trainer.state.log_history if "num_tokens" in entry]
    return Measured(rewards[: setting.rounds], clock.seconds, {}, int(tokens[-1]) if tokens else 0)
