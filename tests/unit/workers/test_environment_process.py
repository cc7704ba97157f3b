"""The process that an environment runs in: what fails is lost alone, counted with its reason, and never a 0."""

import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from kubeswarm_api import names
from kubeswarm_api.spec_environment import Environment
from kubeswarm_workers.environments.contract import FAILURES, Answers, EnvironmentFailed, Score, Unscored, answers
from kubeswarm_workers.environments.launch import Launch, launch
from kubeswarm_workers.environments.process import FAILURES_IN_A_ROW, EnvironmentProcess
from kubeswarm_workers.place import Place
from tests.unit.workers.conftest import environment_of
from tests.unit.workers.test_environment import NEEDLE

#: An environment whose reward function does what the completion says.
OBEDIENT = """
import os, sys, time

HELD = []

def rows():
    return [{"prompt": f"question {number}"} for number in range(100)]

def reward(prompts, completions, **columns):
    for text in completions:
        if text == "raise":
            raise ValueError("no such thing")
        if text == "hang":
            time.sleep(3600)
        if text == "crash":
            os._exit(3)
        if text == "killed":
            os.kill(os.getpid(), 9)
        if text == "exit":
            sys.exit(0)
        if text == "eat":
            HELD.append(bytearray(10 * 2**30))
        if text == "print":
            print('{"ok": [{"reward": 1, "components": {}}]}')
    return [float(len(text)) for text in completions]
"""


def obedient(tmp_path: Path, failures: Counter[str], **limits: float) -> EnvironmentProcess:
    (tmp_path / "obedient.py").write_text(OBEDIENT)
    spec = {
        "python": {"code": {"file": str(tmp_path / "obedient.py")}},
        "limits": {"seconds": 3, "memoryMebibytes": 2048, **limits},
    }
    started = launch(Environment.model_validate(spec), 0, 10, Place(tmp_path))
    return EnvironmentProcess(started, lambda reason: failures.update([reason]))


def group(item: int, *texts: str) -> Answers:
    return answers("dataset", item, texts)


@pytest.mark.parametrize(
    ("text", "reason", "cause"),
    [
        ("raise", "error", "ValueError: no such thing"),
        ("exit", "error", "SystemExit"),
        ("hang", "deadline", "did not answer within 3 s"),
        ("crash", "crash", "ended with code 3"),
        ("killed", "crash", "ended with code -9"),
        ("eat", "memory", "memory"),
    ],
)
def test_one_of_512_is_lost_and_the_others_keep_their_rewards(
    tmp_path: Path, text: str, reason: str, cause: str
) -> None:
    failures: Counter[str] = Counter()
    environment = obedient(tmp_path, failures)
    try:
        asked = [group(item, *("x" * (index + 1) for index in range(8))) for item in range(64)]
        asked[5] = group(5, "x", "xx", "xxx", text, "xxxxx", "xxxxxx", "xxxxxxx", "xxxxxxxx")
        scored = environment.score(asked)
    finally:
        environment.close()
    for item, scores in enumerate(scored):
        for index, score in enumerate(scores):
            if (item, index) == (5, 3):
                assert isinstance(score, Unscored)
                assert score.reason == reason and cause in score.cause
            else:
                assert score == Score(index + 1.0, {"reward": index + 1.0})
    assert failures == {reason: 1}
    assert set(failures) <= set(FAILURES)


def test_what_it_prints_is_no_answer(tmp_path: Path) -> None:
    environment = obedient(tmp_path, Counter())
    try:
        assert environment.score([group(1, "print")]) == [[Score(5.0, {"reward": 5.0})]]
    finally:
        environment.close()


def test_an_environment_that_breaks_again_and_again_is_given_up(tmp_path: Path) -> None:
    failures: Counter[str] = Counter()
    environment = obedient(tmp_path, failures)
    try:
        scored = environment.score([group(item, "crash") for item in range(30)])
        reasons = [score.reason for [score] in scored if isinstance(score, Unscored)]
        assert reasons == ["crash"] * FAILURES_IN_A_ROW + ["given_up"] * (30 - FAILURES_IN_A_ROW)
        assert failures == Counter(reasons)
        assert environment.score([group(1, "fine")]) == [[Score(4.0, {"reward": 4.0})]]  # the next round begins anew
    finally:
        environment.close()


def scripted(tmp_path: Path, body: str) -> EnvironmentProcess:
    """A process which answers the first line and then does `body` for each request."""
    script = tmp_path / "environment.py"
    head = "import json, sys, time\nsys.stdin.readline()\nprint(json.dumps({'ok': None}), flush=True)\n"
    script.write_text(head + "for line in sys.stdin:\n" + textwrap.indent(textwrap.dedent(body), "    "))
    return EnvironmentProcess(Launch((sys.executable, str(script)), {}, {}, score_seconds=2.0, start_seconds=2.0))


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("time.sleep(60)", "did not answer within 2 s"),
        ("sys.exit(3)", "ended with code 3"),
        ("print('nonsense', flush=True)", "not JSON"),
        ("print('[]', flush=True)", "not an object"),
        ("print(json.dumps({'error': 'no such item'}), flush=True)", "no such item"),
    ],
)
def test_without_prompts_there_is_an_error(tmp_path: Path, body: str, cause: str) -> None:
    environment = scripted(tmp_path, body)
    try:
        with pytest.raises(EnvironmentFailed, match=cause):
            environment.draw(0, 1, 4)
    finally:
        environment.close()


@pytest.mark.parametrize(
    "answer",
    [
        "[]",
        "[{'reward': 'much', 'components': {}}]",
        "[{'reward': float('nan'), 'components': {}}]",
        "[{'reward': 1, 'components': {'a b': 1}}]",
        "[{'reason': 'because', 'cause': ''}]",
        "7",
    ],
)
def test_a_foul_answer_is_no_reward(tmp_path: Path, answer: str) -> None:
    environment = scripted(tmp_path, f"print(json.dumps({{'ok': {answer}}}), flush=True)")
    try:
        [[score]] = environment.score([group(0, "x")])
        assert isinstance(score, Unscored) and score.reason == "protocol"
    finally:
        environment.close()


def test_a_request_that_is_not_read_is_a_hang(tmp_path: Path) -> None:
    environment = scripted(tmp_path, "time.sleep(60)")
    try:
        [[score]] = environment.score([group(0, "x" * 10_000_000)])
        assert isinstance(score, Unscored) and score.reason == "deadline"
    finally:
        environment.close()


def test_the_process_gives_what_the_environment_gives() -> None:
    environment = environment_of(NEEDLE, 5, 9)
    remote = EnvironmentProcess(launch(Environment.model_validate(NEEDLE), 5, 9, Place()))
    try:
        assert remote.draw(0, 1, 3) == environment.draw(0, 1, 3)
        assert remote.held_out() == environment.held_out()
        asked = [answers("needle_haystack", 4, ("<answer>x</answer>", "nothing"))]
        assert remote.score(asked) == environment.score(asked)
        with pytest.raises(EnvironmentFailed, match="unknown task"):
            remote.prompt("nothing", 1)
    finally:
        remote.close()


def test_the_trainers_secrets_stay_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "hush")
    monkeypatch.setenv("HOME", "/tmp")
    started = launch(Environment.model_validate(NEEDLE), 0, 0, Place(tmp_path))
    assert "hush" not in started.env.values()
    assert started.env["HOME"] == "/tmp"
    assert started.first["files"] == str(names.local_path(tmp_path, names.ENVIRONMENT_FILES))
