"""Draws, the held-out set, rewards, and the process that an environment runs in."""

import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeswarm_api.spec_environment import Environment, RewardWeights
from kubeswarm_workers.environments import reward
from kubeswarm_workers.environments.contract import EnvironmentFailed, Prompt, Turn
from kubeswarm_workers.environments.process import EnvironmentProcess
from kubeswarm_workers.environments.reasoning import ReasoningEnvironment
from kubeswarm_workers.environments.serve import build
from kubeswarm_workers.text import Text, plain, without_system

NEEDLE = {
    "reasoningGym": {
        "tasks": [
            {"name": "needle_haystack", "args": {"min_num_statements": 3, "max_num_statements": 3}, "weight": 3},
            {"name": "spell_backward", "args": {"min_word_len": 3, "max_word_len": 4}},
        ],
        "items": 300,
    }
}


def two_tasks(seed: int = 5) -> ReasoningEnvironment:
    environment = build(Environment.model_validate(NEEDLE), seed, 9)
    assert isinstance(environment, ReasoningEnvironment)
    return environment


def question(prompt: Prompt) -> str:
    return prompt.turns[-1].content


def test_a_draw_follows_from_seed_node_and_round_alone() -> None:
    first, again = two_tasks(), two_tasks()
    later = again.draw(0, 2, 8)
    assert first.draw(0, 1, 8) == again.draw(0, 1, 8)
    assert first.draw(0, 2, 8) == later
    assert first.draw(0, 1, 8) != first.draw(1, 1, 8)
    assert first.draw(0, 1, 8) != first.draw(0, 2, 8)
    assert first.draw(0, 1, 8) != two_tasks(seed=6).draw(0, 1, 8)


def test_every_node_has_the_same_items() -> None:
    first, again = two_tasks(), two_tasks()
    prompt = first.draw(0, 1, 1)[0]
    assert again.prompt(prompt.task, prompt.item) == prompt


def test_held_out_questions_are_never_trained_on() -> None:
    environment = two_tasks()
    held_out = environment.held_out()
    assert [prompt.task for prompt in held_out].count("needle_haystack") == 5
    assert [prompt.task for prompt in held_out].count("spell_backward") == 4
    asked = {question(prompt) for prompt in held_out}
    assert len(asked) == 9
    drawn = {question(prompt) for round in range(200) for prompt in environment.draw(0, round, 8)}
    assert not asked & drawn
    shown = {turn.content for prompt in held_out for turn in prompt.turns[1:-1] if turn.role == "user"}
    assert not shown & (asked | drawn)


def test_no_item_twice_in_a_round() -> None:
    drawn = two_tasks().draw(3, 7, 200)
    assert len({(prompt.task, prompt.item) for prompt in drawn}) == 200


@pytest.mark.parametrize(
    ("task", "item"), [("needle_haystack", 300), ("needle_haystack", -1), ("needle_haystack", 305), ("nothing", 0)]
)
def test_only_training_items_can_be_asked_for(task: str, item: int) -> None:
    with pytest.raises(EnvironmentFailed):
        two_tasks().prompt(task, item)


def test_too_small_a_task_is_refused_with_the_remedy() -> None:
    spec = {"reasoningGym": {"tasks": [{"name": "spell_backward", "args": {"min_word_len": 3, "max_word_len": 3}}]}}
    with pytest.raises(EnvironmentFailed, match=r"lower evaluation\.items"):
        build(Environment.model_validate(spec), 0, 4096)


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        ("<answer>Bob</answer>", (1.0, 1.0, 1.0, 1.0)),
        ("So: <answer> bob </answer>", (1.0, 1.0, 1.0, 1.0)),
        ("<answer>Rob</answer>", (0.2 + 0.2 * 2 / 3, 1.0, 2 / 3, 0.0)),
        ("<answer>Bob</answer><answer>Rob</answer>", (1.0, 1.0, 1.0, 1.0)),
        ("<answer></answer>", (0.0, 0.0, 0.0, 0.0)),
        ("<answer>Bob", (0.0, 0.0, 0.0, 0.0)),
        ("Bob", (0.0, 0.0, 0.0, 0.0)),
        ("", (0.0, 0.0, 0.0, 0.0)),
    ],
)
def test_reward(completion: str, expected: tuple[float, float, float, float]) -> None:
    score = reward.score(completion, "Bob", lambda text: text.lower() == "bob", RewardWeights())
    assert (score.reward, score.format, score.similarity, score.exact) == pytest.approx(expected)


def test_without_tags_the_whole_completion_is_the_answer() -> None:
    score = reward.score(" Bob ", "Bob", lambda text: text == "Bob", RewardWeights(), tags=False)
    assert score.reward == pytest.approx(1)
    assert reward.score(" ", "Bob", lambda text: True, RewardWeights(), tags=False).reward == 0


@settings(max_examples=200)
@given(st.text(max_size=200), st.text(min_size=1, max_size=20), st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1))
def test_reward_lies_between_0_and_1(completion: str, expected: str, a: float, b: float, c: float) -> None:
    weights = RewardWeights(format=a, similarity=b, exact=c)
    score = reward.score(f"<answer>{completion}</answer>", expected, lambda text: text == expected, weights)
    assert 0 <= score.reward <= 1 + 1e-9


def test_similarity_of_long_texts_is_bounded() -> None:
    started = time.monotonic()
    reward.similarity("ab" * 500_000, "ba" * 500_000)
    assert time.monotonic() - started < 60


def process(tmp_path: Path, body: str) -> EnvironmentProcess:
    """An environment process which answers the first line and then does `body` for each request."""
    script = tmp_path / "environment.py"
    head = "import json, sys, time\nsys.stdin.readline()\nprint(json.dumps({'ok': None}), flush=True)\n"
    script.write_text(head + "for line in sys.stdin:\n" + textwrap.indent(textwrap.dedent(body), "    "))
    spec = Environment.model_validate(NEEDLE)
    return EnvironmentProcess(spec, 0, 0, call_seconds=2.0, command=(sys.executable, str(script)))


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("time.sleep(60)", "did not answer within 2 s"),
        ("sys.exit(3)", "ended with code 3"),
        ("print('nonsense', flush=True)", "Expecting value"),
        ("print('[]', flush=True)", "not an object"),
        ("print(json.dumps({'error': 'no such item'}), flush=True)", "no such item"),
    ],
)
def test_a_failing_environment_is_an_error_and_starts_anew(tmp_path: Path, body: str, cause: str) -> None:
    environment = process(tmp_path, body)
    try:
        for _ in range(2):
            with pytest.raises(EnvironmentFailed, match=cause):
                environment.score("needle_haystack", 0, ["<answer>x</answer>"])
    finally:
        environment.close()


def test_the_process_gives_what_the_environment_gives() -> None:
    environment = two_tasks()
    remote = EnvironmentProcess(Environment.model_validate(NEEDLE), 5, 9)
    try:
        assert remote.draw(0, 1, 3) == environment.draw(0, 1, 3)
        assert remote.held_out() == environment.held_out()
        answers = ["<answer>x</answer>", "nothing"]
        assert remote.score("needle_haystack", 4, answers) == environment.score("needle_haystack", 4, answers)
        with pytest.raises(EnvironmentFailed, match="unknown task"):
            remote.prompt("nothing", 1)
    finally:
        remote.close()


TURNS = (Turn("system", "Rules."), Turn("user", "1+1?"), Turn("assistant", "2"), Turn("user", "2+2?"))


def test_plain_text_for_a_model_without_a_template() -> None:
    assert plain(TURNS) == "Rules.\n\n1+1?\n2\n\n2+2?\n"


def test_a_template_without_a_system_role(characters: Callable[[], Any]) -> None:
    tokenizer = characters()
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
        "[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    text = Text(tokenizer)
    assert text.decode(text.encode(TURNS)) == "[user]Rules.\n\n1+1?[assistant]2[user]2+2?[assistant]"
    assert without_system(TURNS)[0] == Turn("user", "Rules.\n\n1+1?")
