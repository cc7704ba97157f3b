"""The bound: raw vLLM generation, and raw torch forward and backward passes over the same tokens, nothing else."""

from hack.bench.learner.parts import Parts
from hack.bench.learner.setting import Measured, Setting, end_round
from kubeswarm_workers.learn.batch import collate, micro_batches, rows_of
from kubeswarm_workers.node import MAX_PROMPT, STOP
from kubeswarm_workers.rollout.engine import Engine
from kubeswarm_workers.rollout.sampling import EngineSpec, Request
from kubeswarm_workers.seeds import seed_of


def run(setting: Setting, folder: str) -> Measured:
    """Samples and differentiates; `folder` is not needed. Nothing is learnt, so that the reward stays where it was."""
    parts = Parts(setting)
    policy = parts.learner.policy
    engine = Engine(
        EngineSpec(
            model=str(setting.model),
            dtype=str(policy.dtype).removeprefix("torch."),
            context=MAX_PROMPT + setting.max_tokens,
            sequences=setting.prompts * setting.group_size,
            max_tokens=setting.max_tokens,
            temperature=1.0,
            stop=STOP,
        )
    )
    rows_tokens = cells = 0
    for round in range(1, setting.rounds + 1):
        prompts = setting.drawn(parts.environment, round)
        requests = [
            Request(parts.text.encode(prompt.turns), setting.group_size, seed_of("bound", setting.seed, round, index))
            for index, prompt in enumerate(prompts)
        ]
        with parts.timed("generate", round):
            sampled = engine.generate(requests)
        rows = rows_of(parts.groups(prompts, sampled), "local")
        with parts.timed("train", round):
            for part in micro_batches(rows, setting.algorithm.tokens_per_micro_batch):
                batch = collate(part, policy.device)
                policy.logprobs(batch, 1.0).mean().backward()
                rows_tokens += sum(row.length for row in part)
                cells += batch.tokens_B_L.numel()
        for parameter in policy.trainable().values():
            parameter.grad = None
        end_round(round)
    parts.environment.close()
    parts.measured.padding = 1.0 - rows_tokens / cells
    return parts.measured
