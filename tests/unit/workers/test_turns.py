"""Episodes of several answers: what is learnt of them, and what another Node's are checked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from kubeswarm_api.rollouts import Completion, Group, RolloutBatch
from kubeswarm_api.spec_training import Rollout
from kubeswarm_workers.environments.contract import Answers, Score, Turn
from kubeswarm_workers.environments.split import Split
from kubeswarm_workers.episode import Episode
from kubeswarm_workers.learn import foreign
from kubeswarm_workers.learn.batch import Row, Sample, collate, rows_of, weighed
from kubeswarm_workers.learn.foreign import Reading, Rules
from kubeswarm_workers.learn.model import Policy
from kubeswarm_workers.learn.step import Learner
from kubeswarm_workers.text import Text
from tests.unit.workers.conftest import environment_of

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
        [[turns]] = environment.step([Answers("dataset", item, (episode.transcript,))])
        assert isinstance(turns, tuple) and turns
        episode = episode.answered(turns, text.between(episode.tokens, turns), answer(words))
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
def policy(tiny_model: Path) -> Policy:
    return Policy(tiny_model, None, seed=0)


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
