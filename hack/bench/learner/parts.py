"""The learner's own parts without the round loop: what both of the other comparisons are made of."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from hack.bench.learner.setting import LORA, THREADS, Measured, Setting, rewards
from kubeswarm_api.rollouts import Completion, Group
from kubeswarm_workers.environments.contract import Prompt, answers
from kubeswarm_workers.environments.process import EnvironmentProcess
from kubeswarm_workers.learn.model import Policy, load_tokenizer
from kubeswarm_workers.learn.step import Learner
from kubeswarm_workers.rollout.sampling import Sampled
from kubeswarm_workers.text import Text


class Parts:
    """Environment, tokenizer and learner of one run, and its measurement."""

    def __init__(self, setting: Setting) -> None:
        torch.set_num_threads(THREADS)
        self.environment: EnvironmentProcess = setting.environment()
        self.text = Text(load_tokenizer(setting.model))
        self.learner = Learner(Policy(setting.model, LORA, setting.seed), setting.algorithm, setting.rollout)
        self.measured = Measured()

    @contextmanager
    def timed(self, phase: str, round: int) -> Iterator[None]:
        """Adds to a phase's seconds and to those of the round."""
        begun = time.monotonic()
        yield
        taken = time.monotonic() - begun
        if round == len(self.measured.seconds) + 1:
            self.measured.seconds.append(0.0)
        self.measured.seconds[round - 1] += taken
        if round > 1:
            self.measured.phases[phase] = self.measured.phases.get(phase, 0.0) + taken

    def groups(self, prompts: Sequence[Prompt], sampled: Sequence[Sequence[Sampled]]) -> list[Group]:
        """The scored groups of a round; their mean reward and tokens are noted."""
        texts = [
            answers(prompt.task, prompt.item, [self.text.decode(each.tokens) for each in completions])
            for prompt, completions in zip(prompts, sampled, strict=True)
        ]
        groups: list[Group] = []
        scored = rewards(self.environment, texts)
        for prompt, completions, scores in zip(prompts, sampled, scored, strict=True):
            groups.append(
                Group(
                    task=prompt.task,
                    item=prompt.item,
                    prompt_tokens=list(self.text.encode(prompt.turns)),
                    completions=[
                        Completion(
                            tokens=list(each.tokens),
                            logprobs=list(each.logprobs),
                            reward=score,
                            truncated=each.truncated,
                        )
                        for each, score in zip(completions, scores, strict=True)
                    ],
                )
            )
        means = [sum(scores) / len(scores) for scores in scored]
        self.measured.reward.append(sum(means) / len(means))
        self.measured.tokens += sum(len(each.tokens) for group in groups for each in group.completions)
        return groups
