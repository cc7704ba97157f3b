"""An environment in a process of its own, with a deadline for each answer; one that hangs or dies is started anew."""

import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from kubeswarm_workers.environments.contract import (
    FAILURES,
    Answers,
    EnvironmentFailed,
    Prompt,
    Score,
    Scored,
    Stepped,
    Turn,
    Unscored,
)
from kubeswarm_workers.environments.launch import Launch

log = logging.getLogger(__name__)

Result = TypeVar("Result")

MAX_ANSWER_BYTES = 64 * 1024 * 1024
PIPE_BYTES = 1 << 16
#: Tries of a call that gives prompts: without them there is no round.
TRIES = 3
#: Failures of the process while it scores, one after the other, before the rest of the completions is given up.
FAILURES_IN_A_ROW = 4


class Broken(Exception):
    """The process is of no use any more; `reason` is one of `contract.FAILURES`."""

    def __init__(self, reason: str, cause: str) -> None:
        super().__init__(cause)
        self.reason = reason


class EnvironmentProcess:
    """Implements `contract.Environment` by asking `environments.serve`.

    `on_failure` is told the reason of every completion that could not be scored and of every process that broke.
    """

    def __init__(self, launch: Launch, on_failure: Callable[[str], None] = lambda reason: None) -> None:
        self._launch = launch
        self._on_failure = on_failure
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self._lock = threading.Lock()  # rollouts and foreign groups are scored by threads of their own

    def draw(self, node: int, round: int, count: int, emphasis: Mapping[str, float] = {}) -> list[Prompt]:
        """See `contract.Environment`."""
        return [_prompt(each) for each in self._call("draw", node, round, count, dict(emphasis))]

    def held_out(self) -> list[Prompt]:
        """See `contract.Environment`."""
        return [_prompt(each) for each in self._call("held_out")]

    def prompt(self, task: str, item: int) -> Prompt:
        """See `contract.Environment`."""
        return _prompt(self._call("prompt", task, item))

    def score(self, answers: Sequence[Answers]) -> list[list[Scored]]:
        """See `contract.Environment`. All of them in one round trip, unless the process breaks on the way."""
        return self._each("score", answers, _score)

    def step(self, answers: Sequence[Answers]) -> list[list[Stepped]]:
        """See `contract.Environment`; as `score`."""
        return self._each("step", answers, _turns)

    def close(self) -> None:
        """Ends the process and what it started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            self._rest = b""

    def _each(
        self, call: str, answers: Sequence[Answers], read: Callable[[dict[str, Any]], Result]
    ) -> list[list[Result | Unscored]]:
        """A call with a result for each completion, `read` from its JSON data."""
        results: list[list[Result | Unscored]] = []
        broken = 0
        with self._lock:
            while len(results) < len(answers):
                group = answers[len(results)]
                if broken == FAILURES_IN_A_ROW:
                    cause = f"the environment's process broke {broken} times in a row"
                    results.append([Unscored("given_up", cause) for _ in group.transcripts])
                    continue
                try:
                    for each in self._stream(call, answers[len(results) :], read):
                        results.append(each)
                        broken = 0
                except Broken as error:
                    broken += 1
                    results.append(self._one_by_one(call, answers[len(results)], read, error))
                except EnvironmentFailed as error:  # it doesn't start any more
                    results.append([Unscored("error", str(error)) for _ in group.transcripts])
        for each in (each for group in results for each in group if isinstance(each, Unscored)):
            self._on_failure(each.reason)
        return results

    def _one_by_one(
        self, call: str, group: Answers, read: Callable[[dict[str, Any]], Result], error: Broken
    ) -> list[Result | Unscored]:
        """The group that broke the process: its completions one at a time, so that only the guilty are lost."""
        if len(group.transcripts) == 1:
            return [Unscored(error.reason, str(error))]
        results: list[Result | Unscored] = []
        broken = 0
        for each in group.transcripts:
            if broken == FAILURES_IN_A_ROW:
                results.append(Unscored("given_up", f"the environment's process broke {broken} times in a row"))
                continue
            try:
                results += next(self._stream(call, [Answers(group.task, group.item, (each,))], read))
                broken = 0
            except Broken as again:
                broken += 1
                results.append(Unscored(again.reason, str(again)))
            except EnvironmentFailed as again:
                results.append(Unscored("error", str(again)))
        return results

    def _stream(
        self, call: str, answers: Sequence[Answers], read: Callable[[dict[str, Any]], Result]
    ) -> Iterator[list[Result | Unscored]]:
        """The groups' results as they come. Raises Broken at the first that does not."""
        self._send({"call": call, "args": [_answers_json(each) for each in answers]})
        for group in answers:
            answer = self._receive(self._launch.score_seconds)
            if "error" in answer:
                self._broke("protocol", answer["error"])
            try:
                results = [_failure(each) or read(each) for each in answer["ok"]]
            except (KeyError, TypeError, ValueError) as error:
                self._broke("protocol", f"not a list of results of {call}: {error}")
            if len(results) != len(group.transcripts):
                self._broke("protocol", f"{len(results)} results of {len(group.transcripts)} completions")
            yield results

    def _call(self, name: str, *args: object) -> Any:
        """One call that is answered with one line. Raises EnvironmentFailed."""
        with self._lock:
            return self._ask({"call": name, "args": args})

    def _ask(self, request: dict[str, Any]) -> Any:
        for attempt in range(1, TRIES + 1):
            try:
                self._send(request)
                answer = self._receive(self._launch.start_seconds)
            except Broken as error:
                if attempt == TRIES:
                    raise EnvironmentFailed(str(error)) from error
                continue
            if "error" in answer:
                raise EnvironmentFailed(answer["error"])
            return answer["ok"]
        raise AssertionError

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._launch.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._launch.env,
            start_new_session=True,
            bufsize=0,
        )
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        self._write(self._launch.first, self._launch.start_seconds)
        answer = self._receive(self._launch.start_seconds)
        if "error" in answer:
            self.close()
            raise EnvironmentFailed(answer["error"])

    def _send(self, request: object) -> None:
        if self._process is None:
            self._start()
        self._write(request, self._launch.start_seconds)

    def _write(self, request: object, seconds: float) -> None:
        """Hands over a request; one that is not read is a hang too."""
        assert self._process is not None and self._process.stdin is not None
        handle = self._process.stdin.fileno()
        data = memoryview(json.dumps(request).encode() + b"\n")
        deadline = time.monotonic() + seconds
        while data:
            if not select.select([], [handle], [], max(0.0, deadline - time.monotonic()))[1]:
                self._broke("deadline", f"the environment read no request for {seconds:g} s")
            try:
                data = data[os.write(handle, data[:PIPE_BYTES]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                self._broke("crash", f"the environment's process ended with code {self._process.wait()} ({error})")

    def _receive(self, seconds: float) -> dict[str, Any]:
        process = self._process
        assert process is not None and process.stdout is not None
        deadline = time.monotonic() + seconds
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                self._broke("deadline", f"the environment did not answer within {seconds:g} s")
            data = os.read(process.stdout.fileno(), 1 << 20)
            if not data:
                self._broke("crash", f"the environment's process ended with code {process.wait()}")
            self._rest += data
            if len(self._rest) > MAX_ANSWER_BYTES:
                self._broke("protocol", f"the environment's answer is over {MAX_ANSWER_BYTES} bytes")
        line, self._rest = self._rest.split(b"\n", 1)
        try:
            answer = json.loads(line)
        except ValueError as error:
            self._broke("protocol", f"the environment's answer is not JSON: {error}")
        if not isinstance(answer, dict) or not ("ok" in answer or isinstance(answer.get("error"), str)):
            self._broke("protocol", "the environment's answer is not an object with ok or error")
        return answer

    def _broke(self, reason: str, cause: str) -> NoReturn:
        log.warning("environment broke; it is started anew", extra={"reason": reason, "cause": cause})
        self.close()
        raise Broken(reason, cause)


def _prompt(data: dict[str, Any]) -> Prompt:
    return Prompt(data["task"], data["item"], tuple(Turn(**turn) for turn in data["turns"]))


def _answers_json(group: Answers) -> list[Any]:
    transcripts = [[[turn.role, turn.content] for turn in each] for each in group.transcripts]
    return [group.task, group.item, transcripts]


def _failure(data: dict[str, Any]) -> Unscored | None:
    if "reason" not in data:
        return None
    if data["reason"] not in FAILURES:
        raise ValueError(f"unknown reason {data['reason']!r}")
    return Unscored(data["reason"], str(data["cause"]))


def _turns(data: dict[str, Any]) -> tuple[Turn, ...]:
    turns = tuple(Turn(str(turn["role"]), str(turn["content"])) for turn in data["turns"])
    if any(turn.role != "user" for turn in turns):
        raise ValueError("a step's turns are the user's")
    return turns


def _score(data: dict[str, Any]) -> Score:
    return Score(float(data["reward"]), {str(name): float(value) for name, value in data["components"].items()})
