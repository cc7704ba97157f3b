"""Sampling and scoring: prompts in, groups of scored completions out; and the held-out measurement."""

import logging
from collections.abc import Sequence

from kubeswarm_api.errors import InvalidConfig
from kubeswarm_api.rollouts import Completion, Group
from kubeswarm_workers import heldout
from kubeswarm_workers.environments.contract import Answers, Prompt, Score, Unscored
from kubeswarm_workers.episode import Episode
from kubeswarm_workers.heldout import HeldOut
from kubeswarm_workers.node import HELD_OUT_SAMPLES, Node
from kubeswarm_workers.rollout.sampling import Request
from kubeswarm_workers.seeds import seed_of
from kubeswarm_workers.stopping import Stopped
from kubeswarm_workers.tally import Tally
from kubeswarm_workers.turns import play

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


def scores_of(
    node: Node, prompts: Sequence[Prompt], sampled: Sequence[Sequence[Episode]]
) -> list[list[tuple[Episode, Score]]]:
    """The completions of each prompt that could be scored, with their scores; the others are logged and left out."""
    if node.stopping():
        raise Stopped
    answers = [
        Answers(prompt.task, prompt.item, tuple(each.transcript for each in group if not each.failed))
        for prompt, group in zip(prompts, sampled, strict=True)
    ]
    kept: list[list[tuple[Episode, Score]]] = []
    for prompt, group, found in zip(prompts, sampled, node.environment.score(answers), strict=True):
        scores = iter(found)
        scored = [each.failed or next(scores) for each in group]
        kept.append([(each, score) for each, score in zip(group, scored, strict=True) if isinstance(score, Score)])
        for failed in [each for each in scored if isinstance(each, Unscored)][:1]:
            extra = {"task": prompt.task, "item": prompt.item, "reason": failed.reason, "cause": failed.cause}
            log.warning("completions not scored", extra={**extra, "count": len(group) - len(kept[-1])})
    return kept


def groups_of(
    node: Node, prompts: Sequence[Prompt], requests: Sequence[Request], sampled: Sequence[Sequence[Episode]]
) -> tuple[list[Group], dict[str, Tally], list[list[dict[str, float]]]]:
    """The scored groups, what is to be said of each task, and by group the components of each completion's reward.

    Completions that could not be scored are left out.
    """
    groups: list[Group] = []
    components: list[list[dict[str, float]]] = []
    tallies: dict[str, Tally] = {}
    for prompt, request, scored in zip(prompts, requests, scores_of(node, prompts, sampled), strict=True):
        tallies.setdefault(prompt.task, Tally()).add(scored)
        if scored:
            components.append([dict(score.components) for _, score in scored])
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
                            given=list(each.given),
                            switched_at=each.switched_at,
                        )
                        for each, score in scored
                    ],
                )
            )
    return groups, tallies, components


def measure(node: Node, prompts: Sequence[Prompt], round: int) -> HeldOut | None:
    """Samples HELD_OUT_SAMPLES answers an item at the training temperature, always with the same seeds.

    None if not one answer could be scored.
    """
    requests = requests_of(node, prompts, HELD_OUT_SAMPLES, "held-out")
    by_item = scores_of(node, prompts, play(node, prompts, requests))
    scores = [(prompt.task, [score for _, score in scored]) for prompt, scored in zip(prompts, by_item, strict=True)]
    return heldout.of([(task, each) for task, each in scores if each], round)
