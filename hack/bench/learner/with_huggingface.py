"""Our learner with Hugging Face's generate() in the engine's place: shows what the engine is worth."""

from collections.abc import Sequence
from typing import Any

import torch

from hack.bench.learner.parts import Parts
from hack.bench.learner.setting import Measured, Setting, end_round
from kubeswarm_workers.learn.batch import rows_of
from kubeswarm_workers.learn.step import Learner
from kubeswarm_workers.rollout.sampling import Sampled


def run(setting: Setting, folder: str) -> Measured:
    """Trains; `folder` is not needed."""
    parts = Parts(setting)
    for round in range(1, setting.rounds + 1):
        prompts = setting.drawn(parts.environment, round)
        with parts.timed("generate", round):
            sampled = _generate(setting, parts.learner, [parts.text.encode(prompt.turns) for prompt in prompts])
        with parts.timed("score", round):
            groups = parts.groups(prompts, sampled)
        with parts.timed("train", round):
            parts.learner.update(rows_of(groups, "local"), round)
        end_round(round)
    parts.environment.close()
    return parts.measured


@torch.no_grad()
def _generate(setting: Setting, learner: Learner, prompts: Sequence[Sequence[int]]) -> list[list[Sampled]]:
    model: Any = learner.policy.model
    model.eval()
    model.config.use_cache = True
    longest = max(map(len, prompts))
    end = model.generation_config.eos_token_id
    device = learner.policy.device
    with learner.policy.precision():
        out = model.generate(
            input_ids=torch.tensor(
                [[end] * (longest - len(prompt)) + list(prompt) for prompt in prompts], device=device
            ),
            attention_mask=torch.tensor(
                [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device
            ),
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            num_return_sequences=setting.group_size,
            max_new_tokens=setting.max_tokens,
            pad_token_id=end,
            output_logits=True,
            return_dict_in_generate=True,
        )
    model.config.use_cache = False
    tokens_N_T = out.sequences[:, longest:]
    logprobs_N_T_V = torch.stack(out.logits, dim=1).float().log_softmax(-1)
    logprobs_N_T = logprobs_N_T_V.gather(-1, tokens_N_T[..., None])[..., 0]
    completions = [
        _until(end, ids, values) for ids, values in zip(tokens_N_T.tolist(), logprobs_N_T.tolist(), strict=True)
    ]
    size = setting.group_size
    return [completions[at : at + size] for at in range(0, len(completions), size)]


def _until(end: int, tokens: list[int], logprobs: list[float]) -> Sampled:
    length = tokens.index(end) + 1 if end in tokens else len(tokens)
    return Sampled(tuple(tokens[:length]), tuple(logprobs[:length]), end not in tokens)
