"""Draws, the held-out set and rewards of reasoning-gym, and conversations as text."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeswarm_workers.environments import reward
from kubeswarm_workers.environments.contract import EnvironmentFailed, Prompt, Score, Turn
from kubeswarm_workers.environments.split import Split
from kubeswarm_workers.text import Text, plain, without_system
from tests.unit.workers.conftest import environment_of

NEEDLE = {
    "reasoningGym": {
        "tasks": [
            {"name": "needle_haystack", "args": {"min_num_statements": 3, "max_num_statements": 3}, "weight": 3},
            {"name": "spell_backward", "args": {"min_word_len": 3, "max_word_len": 4}},
        ],
        "items": 300,
    }
}


WEIGHTS = {"format": 0.2, "similarity": 0.2, "exact": 0.6}


def two_tasks(seed: int = 5) -> Split:
    return environment_of(NEEDLE, seed, 9)


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
        environment_of(spec, 0, 4096)


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
    score = reward.weighted(completion, "Bob", lambda text: float(text.lower() == "bob"), WEIGHTS)
    parts = score.components
    assert (score.reward, parts["format"], parts["similarity"], parts["strict"]) == pytest.approx(expected)


def test_without_tags_the_whole_completion_is_the_answer() -> None:
    score = reward.weighted(" Bob ", "Bob", lambda text: float(text == "Bob"), WEIGHTS, tags=False)
    assert score.reward == pytest.approx(1)
    assert reward.weighted(" ", "Bob", lambda text: 1.0, WEIGHTS, tags=False).reward == 0


@pytest.mark.parametrize(
    ("completion", "reward_", "strict", "format"),
    [
        ("<answer>12</answer>", 1.0, 1.0, 1.0),
        ("<answer>it is 12 or 13</answer>", 2 / 14, 0.0, 1.0),
        ("12", 1.0, 0.0, 0.0),  # right, and paid for, though not as asked: the strict component says so
        ("no idea", 0.0, 0.0, 0.0),
    ],
)
def test_the_partial_scorer_pays_and_the_strict_component_tells(
    completion: str, reward_: float, strict: float, format: float
) -> None:
    def own(answer: str) -> float:
        return 1.0 if answer == "12" else 2 / len(answer) if "12" in answer else 0.0

    score = reward.partial(completion, own)
    assert score.reward == pytest.approx(reward_)
    assert score.components == {"strict": strict, "format": format}


@settings(max_examples=200)
@given(st.text(max_size=200), st.text(min_size=1, max_size=20), st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1))
def test_reward_lies_between_0_and_1(completion: str, expected: str, a: float, b: float, c: float) -> None:
    weights = {"format": a, "similarity": b, "exact": c}
    score = reward.weighted(f"<answer>{completion}</answer>", expected, lambda text: float(text == expected), weights)
    assert 0 <= score.reward <= 1 + 1e-9


@pytest.mark.parametrize(
    ("reward_", "components", "message"),
    [
        (float("nan"), {}, "must lie within"),
        (1001, {}, "must lie within"),
        (0, {"Strict": 1.0}, "a-z"),
        (0, {"a" * 33: 1.0}, "32 characters"),
        (0, {"x": float("inf")}, "is inf"),
        (0, {f"part{i}": 0.0 for i in range(17)}, "16 at most"),
    ],
)
def test_a_score_is_bounded(reward_: float, components: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Score(reward_, components)


def test_similarity_of_long_texts_is_bounded() -> None:
    started = time.monotonic()
    reward.similarity("ab" * 500_000, "ba" * 500_000)
    assert time.monotonic() - started < 60


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
