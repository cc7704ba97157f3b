"""Sampling and scoring: prompts in, groups of scored completions out; and the held-out measurement."""

import logging
from collections.abc import Sequence

from kubeswarm_api.errors import InvalidConfig
from kubeswarm_api.rollouts import Completion, Group
from kubeswarm_workers.environments.contract import EnvironmentFailed, Prompt, Score
from kubeswarm_workers.heldout import HeldOut
from kubeswarm_workers.node import HELD_OUT_SAMPLES, Node
from kubeswarm_workers.rollout.sampling import Request, Sampled
from kubeswarm_workers.seeds import seed_of
from kubeswarm_workers.stopping import Stopped

log = logging.getLogger(__name__)


def requests_of(node: Node, prompts: Sequence[Prompt], samples: int, *purpose: str | int) -> list[Request]:
    """A request a prompt, each with a seed of its own that follows from what it is for.

    Raises InvalidConfig for a prompt that leaves no room for its completion.
    """
    training = node.config.training
    requests: list[Request] = []
    for index, prompt in enumerate(prompts):
        tokens = node.text.encode(prompt.turns)
        if len(tokens) + training.rollout.max_tokens > node.context:
            raise InvalidConfig(
                f"item {prompt.item} of {prompt.task} is a prompt of {len(tokens)} tokens: with rollout.maxTokens "
                f"{training.rollout.max_tokens} it is over {node.context}; make the task's args or maxTokens smaller"
            )
        requests.append(Request(tokens, samples, seed_of("sample", training.seed, *purpose, index)))
    return requests


def scores_of(node: Node, prompt: Prompt, sampled: Sequence[Sampled]) -> list[Score] | None:
    """The scores of one prompt's completions; None where the environment failed, which is not a reward of 0."""
    if node.stopping():
        raise Stopped
    try:
        return node.environment.score(prompt.task, prompt.item, [node.text.decode(each.tokens) for each in sampled])
    except EnvironmentFailed as error:
        log.warning("completions not scored", extra={"task": prompt.task, "item": prompt.item, "cause": str(error)})
        return None


def groups_of(
    node: Node, prompts: Sequence[Prompt], requests: Sequence[Request], sampled: Sequence[Sequence[Sampled]]
) -> list[Group]:
    """The scored groups; those that could not be scored are left out."""
    groups: list[Group] = []
    for prompt, request, completions in zip(prompts, requests, sampled, strict=True):
        scores = scores_of(node, prompt, completions)
        if scores is not None:
            groups.append(
                Group(
                    task=prompt.task,
                    item=prompt.item,
                    prompt_tokens=list(request.prompt),
                    completions=[
                        Completion(
                            tokens=list(each.tokens),
                            logprobs=list(each.logprobs),
                            reward=score.reward,
                            truncated=each.truncated,
                        )
                        for each, score in zip(completions, scores, strict=True)
                    ],
                )
            )
    return groups


def measure(node: Node, prompts: Sequence[Prompt], round: int) -> HeldOut | None:
    """Samples HELD_OUT_SAMPLES answers an item at the training temperature, always with the same seeds.

    None if not one answer could be scored.
    """
    requests = requests_of(node, prompts, HELD_OUT_SAMPLES, "held-out")
    sampled = node.pool.generate(requests)
    scored = [scores_of(node, prompt, group) for prompt, group in zip(prompts, sampled, strict=True)]
    scores = [score for group in scored if group is not None for score in group]
    if not scores:
        return None
    return HeldOut(
        round=round,
        items=sum(group is not None for group in scored),
        reward=sum(score.reward for score in scores) / len(scores),
        exact=sum(score.exact for score in scores) / len(scores),
    )
