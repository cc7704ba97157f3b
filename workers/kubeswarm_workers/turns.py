"""Samples episodes answer by answer: all prompts' first answers, what the environment says to them, all second ones."""

from collections.abc import Sequence
from dataclasses import replace

from kubeswarm_workers.environments.contract import Answers, Prompt, Turn, Unscored
from kubeswarm_workers.episode import Episode
from kubeswarm_workers.node import Node
from kubeswarm_workers.rollout.pool import Switch
from kubeswarm_workers.rollout.sampling import Request, Sampled
from kubeswarm_workers.seeds import seed_of
from kubeswarm_workers.text import Text


def play(
    node: Node, prompts: Sequence[Prompt], requests: Sequence[Request], switch: Switch | None = None
) -> list[list[Episode]]:
    """The episodes of every request; with a `switch` the engines change their policy in the middle of the first
    answers, and all later ones are of the new one. Raises Stopped.

    An episode ends when the environment says so, after rollout.maxTurns answers, with an answer that was cut off, and
    where the context has no room for another one.
    """
    rollout = node.config.training.rollout
    episodes = [[_of(node.text, each) for each in group] for group in node.pool.generate(list(requests), switch)]
    live = [(at, index) for at, group in enumerate(episodes) for index, each in enumerate(group) if not each.truncated]
    for turn in range(1, rollout.max_turns):
        going: list[tuple[int, int]] = []
        said: list[tuple[Turn, ...]] = []
        further: list[Request] = []
        stepped = node.environment.step([_answers(prompts[at], episodes[at][index]) for at, index in live])
        for (at, index), [next_] in zip(live, stepped, strict=True):
            episode = episodes[at][index]
            if isinstance(next_, Unscored):
                episodes[at][index] = replace(episode, failed=next_)
                continue
            if not next_:
                continue
            tokens = (*requests[at].prompt, *episode.tokens, *node.text.between(episode.tokens, next_))
            if len(tokens) + rollout.max_tokens > node.context:
                episodes[at][index] = replace(episode, truncated=True)
                continue
            going.append((at, index))
            said.append(next_)
            further.append(Request(tokens, 1, seed_of("turn", requests[at].seed, index, turn)))
        if not further:
            return episodes
        answers = node.pool.generate(further)
        for (at, index), turns, request, [answer] in zip(going, said, further, answers, strict=True):
            before = episodes[at][index]
            between = request.prompt[len(requests[at].prompt) + len(before.tokens) :]
            later = answer if switch is None else replace(answer, switched_at=0)
            episodes[at][index] = before.answered(turns, between, _of(node.text, later))
        live = [(at, index) for at, index in going if not episodes[at][index].truncated]
    return episodes


def _of(text: Text, sampled: Sampled) -> Episode:
    transcript = (Turn("assistant", text.decode(sampled.tokens)),)
    return Episode(sampled.tokens, sampled.logprobs, sampled.truncated, transcript, switched_at=sampled.switched_at)


def _answers(prompt: Prompt, episode: Episode) -> Answers:
    return Answers(prompt.task, prompt.item, (episode.transcript,))
