"""Environments of other libraries, unmodified from the package index, each in a virtual environment of its own."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kubeswarm_api.spec_environment import Environment
from kubeswarm_workers.environments import venv
from kubeswarm_workers.environments.contract import Answers, EnvironmentFailed, Prompt, Score, Turn, answers
from kubeswarm_workers.environments.launch import launch
from kubeswarm_workers.environments.process import EnvironmentProcess
from kubeswarm_workers.place import Place

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples" / "environments"
#: Virtual environments are kept from one run of the tests to the next.
PLACE = Place(ROOT / "build" / "test-environments")
OPENENV = ["openenv==0.10.0"]


def process(spec: dict[str, Any], held_out: int = 4) -> EnvironmentProcess:
    return EnvironmentProcess(launch(Environment.model_validate(spec), 0, held_out, PLACE))


def scores(environment: EnvironmentProcess, prompt: Prompt, *texts: str) -> list[Any]:
    [found] = environment.score([answers(prompt.task, prompt.item, texts)])
    return found


def episode(environment: EnvironmentProcess, prompt: Prompt, said: Sequence[str]) -> tuple[list[str], Any]:
    """What the environment says to each answer, up to the end, and the score of all of it."""
    transcript: list[Turn] = []
    heard: list[str] = []
    for text in said:
        transcript.append(Turn("assistant", text))
        [[turns]] = environment.step([Answers(prompt.task, prompt.item, (tuple(transcript),))])
        assert isinstance(turns, tuple), turns
        if not turns:
            break
        heard += [turn.content for turn in turns]
        transcript += turns
    if transcript[-1].role == "user":
        transcript = transcript[:-1]
    [[score]] = environment.score([Answers(prompt.task, prompt.item, (tuple(transcript),))])
    return heard, score


def test_a_taskset_of_verifiers() -> None:
    spec = {"code": {"file": str(EXAMPLES / "arithmetic.py")}, "config": {"count": 50, "highest": 9}}
    environment = process({"verifiers": spec, "interpreter": {"requirements": ["verifiers==0.4.0"]}})
    try:
        [prompt] = environment.draw(0, 1, 1)
        [question] = prompt.turns
        assert prompt.task == "Sums" and question.content.startswith("What is ")
        one, other = (int(part) for part in question.content.removeprefix("What is ").rstrip("?").split(" + "))
        right = str(one + other)
        good, talky = scores(environment, prompt, right, f"Let me think about it. It is {right}")
        assert good == Score(1.0, {"right": 1.0, "short": 1.0, "letters": len(right)})
        assert isinstance(talky, Score) and talky.reward == pytest.approx(0.8) and talky.components["short"] == 0
        assert scores(environment, prompt, "none")[0].reward == pytest.approx(0.2)
        assert environment.step([answers(prompt.task, prompt.item, ["7"])]) == [[()]]
        assert len(environment.held_out()) == 4
    finally:
        environment.close()


def test_a_v0_environment_package_of_verifiers() -> None:
    requirements = ["verifiers==0.3.1", "staros-stardata==0.1.1"]
    spec = {"code": {"module": "stardata.envs.constraint_gym"}, "config": {"forms": ["lipogram", "snowball"]}}
    environment = process({"verifiers": spec, "interpreter": {"requirements": requirements}}, held_out=2)
    try:
        lipogram = next(each for each in environment.draw(0, 1, 6) if "lipogram" in each.turns[-1].content.lower())
        assert lipogram.task == "constraint_gym"
        without, with_it = scores(environment, lipogram, "a cold night, and so much snow", "we see the trees here")
        assert without.reward > with_it.reward
        assert "prosody_reward" in without.components
    finally:
        environment.close()


GAME = '''
import verifiers as vf
from datasets import Dataset

class Countdown(vf.MultiTurnEnv):
    """Say the numbers from `answer` down to 0."""

    async def setup_state(self, state, **kwargs):
        state["next"] = int(state["answer"])
        return state

    async def env_response(self, messages, state, **kwargs):
        state["next"] -= messages[-1].content == str(state["next"])
        if state["next"] < 0:
            state["final_env_response"] = [vf.UserMessage(content="Over.")]
        return [vf.UserMessage(content=f"Now {state['next']}?")]

def load_environment(count=20):
    rows = [{"question": f"Count down from {n % 3}. ({n})", "answer": str(n % 3)} for n in range(count)]

    def done(state):
        return float(state["next"] < 0)

    def turns(completion):
        return float(sum(each.role == "assistant" for each in completion))

    rubric = vf.Rubric(funcs=[done, turns], weights=[1.0, 0.0])
    return Countdown(dataset=Dataset.from_list(rows), rubric=rubric, max_turns=5)
'''


def test_several_turns_of_a_v0_environment(tmp_path: Path) -> None:
    (tmp_path / "countdown.py").write_text(GAME)
    requirements = ["verifiers==0.3.1", "staros-stardata==0.1.1"]
    spec = {"code": {"file": str(tmp_path / "countdown.py")}, "config": {"count": 30}}
    environment = process({"verifiers": spec, "interpreter": {"requirements": requirements}})
    try:
        prompt = next(each for each in environment.draw(0, 1, 20) if "from 2" in each.turns[-1].content)
        heard, score = episode(environment, prompt, ["2", "x", "1", "0", "more"])
        assert heard == ["Now 1?", "Now 1?", "Now 0?"]
        assert score == Score(1.0, {"done": 1.0, "turns": 4.0, "num_turns": 4.0})
        heard, score = episode(environment, prompt, ["2", "2"])
        assert heard == ["Now 1?", "Now 1?"] and score.reward == 0.0
    finally:
        environment.close()


@pytest.fixture(scope="module")
def openenv() -> Path:
    """The interpreter that has OpenEnv."""
    return venv.ensure(PLACE.root / "openenv", OPENENV)


@contextlib.contextmanager
def serving(folder: Path, *command: str | Path) -> Iterator[str]:
    """The URL of a server; the command gets its port at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen([*command, str(port)], cwd=folder) as running:
        try:
            deadline = time.monotonic() + 300
            while True:
                assert running.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server does not listen"
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            running.kill()


@pytest.fixture(scope="module")
def server(openenv: Path) -> Iterator[str]:
    """An OpenEnv server that takes one session at a time, as servers do unless told otherwise."""
    with serving(EXAMPLES, openenv, EXAMPLES / "openenv_guess.py") as url:
        yield url


def test_an_openenv_environment_as_its_own_package_makes_it(openenv: Path, tmp_path: Path) -> None:
    """Not a line of it is ours: what `openenv init` writes, served by its own main."""
    command = [openenv.with_name("openenv"), "init", "parrot", "--output-dir", tmp_path]
    # Without uv on the path it does not lock the packages of a project that nobody installs.
    done = subprocess.run(command, env={**os.environ, "PATH": ""}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with serving(tmp_path / "parrot", openenv, "-m", "server.app", "--host", "127.0.0.1", "--port") as url:
        spec = {"openEnv": {"url": url, "observation": "echoed_message", "action": "message", "items": 5}}
        environment = process(spec, held_out=0)
        try:
            [prompt] = environment.draw(0, 1, 1)
            assert prompt.turns[-1].content == "Parrot environment ready!"
            heard, score = episode(environment, prompt, ["hello", "abc"])
            assert heard == ["hello", "abc"]  # it never says that an episode is over
            assert score.reward == pytest.approx(0.5 + 0.3) and score.components == {"done": 0.0}
        finally:
            environment.close()


def guess_spec(server: str) -> dict[str, Any]:
    return {"openEnv": {"url": server, "observation": "text", "action": "text", "items": 50}}


def test_an_openenv_server(server: str) -> None:
    environment = process(guess_spec(server))
    try:
        [prompt] = environment.draw(0, 1, 1)
        assert prompt.turns[-1].content == f"I think of a number from 1 to 9, player {prompt.item}. Guess it."
        heard, score = episode(environment, prompt, [*"123456789"])
        number = len(heard) + 1
        assert heard == ["Higher."] * (number - 1)
        assert score == Score(1 / number, {"done": 1.0})
        # Episodes side by side in the one session, and one that was not ended.
        other = environment.prompt("openenv", (prompt.item + 1) % 50)
        assert episode(environment, other, ["none"]) == (["Say a number from 1 to 9."], Score(0.0, {"done": 0.0}))
        assert scores(environment, prompt, str(number), "none") == [
            Score(1.0, {"done": 1.0}),
            Score(0.0, {"done": 0.0}),
        ]
        asked = {each.turns[-1].content for each in environment.held_out()}
        assert asked == {f"I think of a number from 1 to 9, player {item}. Guess it." for item in range(50, 54)}
    finally:
        environment.close()


def test_the_python_example_is_the_same_game() -> None:
    spec = {"code": {"file": str(EXAMPLES / "guess.py")}, "args": {"count": 60}, "step": "step"}
    environment = process({"python": spec})
    try:
        [prompt] = environment.draw(0, 1, 1)
        heard, score = episode(environment, prompt, ["none", *"123456789"])
        assert heard == ["Say a number from 1 to 9.", *["Higher."] * (len(heard) - 1)]
        assert score == Score(1 / (len(heard) + 1), {"reward": 1 / (len(heard) + 1)})
    finally:
        environment.close()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"openEnv": {"url": "http://127.0.0.1:9", "observation": "text", "action": "text"}}, "refused"),
        ({"verifiers": {"code": {"module": "json"}}}, r"no package verifiers .*interpreter\.requirements"),
        ({"verifiers": {"code": {"file": str(EXAMPLES / "guess.py")},},
          "interpreter": {"requirements": ["verifiers==0.4.0"]}}, "neither a Taskset nor load_environment"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(spec: dict[str, Any], message: str) -> None:
    environment = process(spec)
    try:
        with pytest.raises(EnvironmentFailed, match=message):
            environment.draw(0, 1, 1)
    finally:
        environment.close()


def test_an_unknown_field_of_the_observation_is_named(server: str) -> None:
    spec = guess_spec(server)
    spec["openEnv"]["observation"] = "board"
    environment = process(spec)
    try:
        with pytest.raises(EnvironmentFailed, match="no field board: it has"):
            environment.draw(0, 1, 1)
    finally:
        environment.close()


def test_this_interpreter_has_none_of_these_packages() -> None:
    done = subprocess.run([sys.executable, "-c", "import verifiers"], capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError" in done.stderr
