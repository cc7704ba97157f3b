"""Episodes of several answers: what is learnt of them, and what another Node's are checked for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from kubeswarm_api.rollouts import Completion, Group, RolloutBatch
from kubeswarm_api.spec_training import Rollout
from kubeswarm_workers import turns
from kubeswarm_workers.environments.contract import Answers, Score, Turn
from kubeswarm_workers.environments.split import Split
from kubeswarm_workers.episode import Episode, transcripts
from kubeswarm_workers.learn import foreign
from kubeswarm_workers.learn.batch import Row, Sample, collate, rows_of, weighed
from kubeswarm_workers.learn.foreign import Reading, Rules
from kubeswarm_workers.learn.model import Policy
from kubeswarm_workers.learn.step import Learner
from kubeswarm_workers.rollout.pool import Switch, Weights
from kubeswarm_workers.rollout.sampling import Request, Sampled
from kubeswarm_workers.text import Text
from tests.unit.workers.conftest import environment_of, make_model

GUESS = {
    "python": {
        "code": {"file": str(Path(__file__).parents[3] / "examples" / "environments" / "guess.py")},
        "args": {"count": 60},
        "step": "step",
    }
}
SWARM, ME, OTHER = "0x" + "ab" * 32, "0x" + "1" * 40, "0x" + "2" * 40
TEMPLATE = (
    "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}<eos>{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


@pytest.fixture(scope="module")
def guess() -> Split:
    return environment_of(GUESS, 0, 4)


@pytest.mark.parametrize("template", [None, TEMPLATE])
@pytest.mark.parametrize("end", [False, True])
def test_what_stands_between_two_answers_is_what_the_template_puts_there(
    characters: Callable[[], Any], template: str | None, end: bool
) -> None:
    tokenizer = characters()
    tokenizer.chat_template = template
    text = Text(tokenizer)
    conversation = [Turn("system", "Play."), Turn("user", "Guess!")]
    prompt = text.encode(conversation)
    answer = tuple(tokenizer("it is 4", add_special_tokens=False)["input_ids"])
    said = [Turn("user", "Higher.")]
    if end and template:  # the model said the end itself
        answer = (*answer, tokenizer.eos_token_id)
    whole = text.encode([*conversation, Turn("assistant", "it is 4"), *said])
    assert (*prompt, *answer, *text.between(answer, said)) == whole


def played(environment: Split, text: Text, item: int, said: list[str]) -> Episode:
    """An episode as `turns.play` makes it, of answers that are given."""

    def answer(words: str) -> Episode:
        tokens = tuple(text._tokenizer(words, add_special_tokens=False)["input_ids"])
        return Episode(tokens, (-0.5,) * len(tokens), False, (Turn("assistant", words),))

    episode = answer(said[0])
    for words in said[1:]:
        [[heard]] = environment.step([Answers("dataset", item, (episode.transcript,))])
        assert isinstance(heard, tuple) and heard
        episode = episode.answered(heard, text.between(episode.tokens, heard), answer(words))
    return episode


def group_of(environment: Split, text: Text, round: int) -> Group:
    [prompt] = environment.draw(7, round, 1)
    episodes = [played(environment, text, prompt.item, said) for said in (["0", "no"], ["x", "y", "z"])]
    [scores] = environment.score([Answers(prompt.task, prompt.item, tuple(each.transcript for each in episodes))])
    return Group(
        task=prompt.task,
        item=prompt.item,
        prompt_tokens=list(text.encode(prompt.turns)),
        completions=[
            Completion(
                tokens=list(each.tokens),
                logprobs=list(each.logprobs),
                reward=score.reward,
                truncated=each.truncated,
                given=list(each.given),
            )
            for each, score in zip(episodes, scores, strict=True)
            if isinstance(score, Score)
        ],
    )


def test_the_environments_tokens_are_where_they_are_said_to_be(guess: Split, characters: Callable[[], Any]) -> None:
    text = Text(characters())
    [prompt] = guess.draw(7, 1, 1)
    episode = played(guess, text, prompt.item, ["x", "yy", "z"])
    first, end, second, last = episode.given
    assert text.decode(episode.tokens[:first]) == "x" and text.decode(episode.tokens[end:second]) == "yy"
    assert "Say a number" in text.decode(episode.tokens[first:end]) and text.decode(episode.tokens[last:]) == "z"
    assert episode.sampled == 4 and len(episode.transcript) == 5
    assert all(logprob == 0 for logprob in episode.logprobs[first:end])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"given": []}, "schema"),  # its own words passed off as an answer over the limit
        ({"tokens": "other words"}, "environment"),
        ({"given": "shifted"}, "environment"),
        ({"reward": 0.7}, "reward"),
        ({"turns": 2}, "schema"),
    ],
)
def test_another_nodes_episodes_are_played_again(
    guess: Split, characters: Callable[[], Any], change: dict[str, Any], reason: str | None
) -> None:
    text = Text(characters())
    group = group_of(guess, text, 9)
    longest = group.completions[1]
    first, end, *rest = longest.given
    if change.get("tokens"):
        words = text._tokenizer("Say a number from 2 to 9.", add_special_tokens=False)["input_ids"]
        assert len(words) < end - first
        change = {"tokens": [*longest.tokens[: first + 1], *words, *longest.tokens[first + 1 + len(words) :]]}
    elif change.get("given") == "shifted":
        change = {"given": [first, end + 1, *rest], "tokens": [*longest.tokens[:end], 5, *longest.tokens[end:]],
                  "logprobs": [*longest.logprobs[:end], 0.0, *longest.logprobs[end:]]}  # fmt: skip
        change["given"] = [first, end + 1, *(bound + 1 for bound in rest)]
    rollout = Rollout(max_tokens=8, max_turns=change.pop("turns", 3))
    group = group.model_copy(update={"completions": [group.completions[0], longest.model_copy(update=change)]})
    batch = RolloutBatch(swarm_id=SWARM, node_id=OTHER, round=9, model="0x" + "00" * 32, groups=[group])
    rules = Rules(ME, SWARM, 10, 3, 4, 4, rollout, 98)
    taken = foreign.take([(1, batch)], Reading(), rules, guess, text)
    assert dict(taken.dropped) == ({} if reason is None else {reason: 1})


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory, guess: Split) -> Policy:
    """Of a model that was never trained: what it says does not matter here."""
    directory = tmp_path_factory.mktemp("untrained")
    make_model(directory, guess, 0)
    return Policy(directory, None, seed=0)


def test_the_loss_is_over_the_sampled_tokens_and_sees_the_others(
    policy: Policy, guess: Split, characters: Callable[[], Any]
) -> None:
    text = Text(characters())
    group = group_of(guess, text, 3)
    rows = rows_of([group], "local")
    batch = collate(rows, policy.device)
    logprobs = policy.logprobs(batch, 1.0)
    learner = Learner.__new__(Learner)
    learner.policy = policy
    expected: list[float] = []
    for completion in group.completions:
        whole = [*group.prompt_tokens, *completion.tokens]
        all_of_it = learner.sequence_logprobs(whole)[len(group.prompt_tokens) - 1 :]
        expected += [value for value, own in zip(all_of_it, completion.sampled, strict=True) if own]
    assert torch.allclose(logprobs, torch.tensor(expected), atol=1e-5)
    assert sum(row.learnt for row in rows) == len(expected) < sum(len(each.tokens) for each in group.completions)
    assert batch.behaviour_N.unique().tolist() == [-0.5]  # none of the zeros that stand for the environment's tokens


def test_an_episodes_weight_counts_its_sampled_tokens() -> None:
    from kubeswarm_api.spec_algorithm import Algorithm

    episode = Sample((5, 6, 7, 8), (-1.0, 0.0, 0.0, -1.0), 1.0, (1, 3))
    row = Row((1, 2), (episode, Sample((5,), (-1.0,), 0.0)), "local")
    [weighted] = weighed([row], Algorithm(), 8)
    assert [sample.weight for sample in weighted.samples] == [1 / 3, 1 / 3]
    assert (row.length, row.learnt) == (7, 3)


@pytest.mark.parametrize("given", [[1], [2, 1], [0, 2], [1, 4], [1, 2, 2, 3], [-1, 2]])
def test_bounds_that_make_no_sense_are_refused(given: list[int]) -> None:
    with pytest.raises(ValueError, match="given must be"):
        Completion(tokens=[1, 2, 3, 4], logprobs=[-1.0] * 4, reward=0, truncated=False, given=given)


class Sampler:
    """What `turns.play` asks of a pool, done by transformers on the policy itself, a request at a time."""

    def __init__(self, policy: Policy, limit: int) -> None:
        self.policy, self.limit = policy, limit
        self.asked: list[list[Request]] = []

    @torch.no_grad()
    def generate(self, requests: list[Request], switch: Switch | None = None) -> list[list[Sampled]]:
        self.asked.append(requests)
        groups = [[self._sample(request, index) for index in range(request.samples)] for request in requests]
        if switch is None:
            return groups
        at = switch.passes
        return [
            [replace(each, switched_at=at if len(each.tokens) > at else None) for each in group] for group in groups
        ]

    def _sample(self, request: Request, index: int) -> Sampled:
        model: Any = self.policy.model
        torch.manual_seed(request.seed + index)
        prompt = torch.tensor([request.prompt])
        end = model.config.eos_token_id
        tokens: list[int] = []
        logprobs: list[float] = []
        while len(tokens) < self.limit and end not in tokens:
            logits = model(torch.cat([prompt, torch.tensor([tokens], dtype=torch.long)], dim=1)).logits[0, -1]
            logits[end] = logits.max() + 3.0  # or a model that was never taught to stop would not
            chances = logits.float().log_softmax(-1)
            tokens.append(int(torch.multinomial(chances.exp(), 1)))
            logprobs.append(float(chances[tokens[-1]]))
        return Sampled(tuple(tokens), tuple(logprobs), end not in tokens)


def policy_of_nobody() -> Weights:
    raise AssertionError("the sampler has no weights to change")


def test_episodes_are_played_answer_by_answer(policy: Policy, guess: Split, characters: Callable[[], Any]) -> None:
    text = Text(characters())
    rollout = Rollout(max_tokens=12, max_turns=3)
    prompts = guess.draw(0, 1, 2)
    requests = [Request(text.encode(prompt.turns), 4, 100 * at) for at, prompt in enumerate(prompts)]

    def play(switch: Switch | None = None) -> tuple[list[list[Episode]], Sampler]:
        sampler = Sampler(policy, rollout.max_tokens)
        training = SimpleNamespace(rollout=rollout)
        node: Any = SimpleNamespace(
            config=SimpleNamespace(training=training), environment=guess, text=text, pool=sampler, context=400
        )
        return turns.play(node, prompts, requests, switch), sampler

    episodes, sampler = play()
    first, *later = sampler.asked
    assert first == requests and 1 <= len(later) <= 2
    for prompt, request, group in zip(prompts, requests, episodes, strict=True):
        assert len(group) == 4
        for episode in group:
            said = [turn for turn in episode.transcript if turn.role == "assistant"]
            assert 1 <= len(said) <= 3 and len(episode.given) == 2 * (len(said) - 1)
            assert all(turn.content in ("Say a number from 1 to 9.", "Higher.", "Lower.") for turn in episode.transcript
                       if turn.role == "user")  # fmt: skip
            completion = Completion(tokens=list(episode.tokens), logprobs=[min(0.0, each) for each in episode.logprobs],
                                    reward=0, truncated=episode.truncated, given=list(episode.given))  # fmt: skip
            found = Group(
                task=prompt.task, item=prompt.item, prompt_tokens=list(request.prompt), completions=[completion]
            )
            assert transcripts(found, guess, text) == [episode.transcript]
            if not episode.truncated and len(said) < 3:
                [[heard]] = guess.step([Answers(prompt.task, prompt.item, (episode.transcript,))])
                assert heard == ()  # over, because the environment said so
    prefixes = {
        (*request.prompt, *each.tokens) for request, group in zip(requests, episodes, strict=True) for each in group
    }
    assert all(any(whole[: len(each.prompt)] == each.prompt for whole in prefixes) for each in later[0])
    assert play()[0] == episodes  # the same seeds, the same episodes
    for before, after in zip(episodes, play(Switch(2, policy_of_nobody))[0], strict=True):
        for plain, switched in zip(before, after, strict=True):
            first = plain.given[0] if plain.given else len(plain.tokens)
            later = plain.given[1] if plain.given else None  # an answer after the update is of the new policy alone
            assert switched == replace(plain, switched_at=2 if first > 2 else later)
    single = Rollout(max_tokens=12)
    rollout = single
    assert [[each.transcript[:1] for each in group] for group in episodes] == [
        [each.transcript for each in group] for group in play()[0]
    ]
