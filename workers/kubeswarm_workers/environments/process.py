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
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from kubeswarm_workers.environments.contract import (
    FAILURES,
    Answers,
    EnvironmentFailed,
    Prompt,
    Score,
    Scored,
    Turn,
    Unscored,
)
from kubeswarm_workers.environments.launch import Launch

log = logging.getLogger(__name__)

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

    def draw(self, node: int, round: int, count: int) -> list[Prompt]:
        """See `contract.Environment`."""
        return [_prompt(each) for each in self._call("draw", node, round, count)]

    def held_out(self) -> list[Prompt]:
        """See `contract.Environment`."""
        return [_prompt(each) for each in self._call("held_out")]

    def prompt(self, task: str, item: int) -> Prompt:
        """See `contract.Environment`."""
        return _prompt(self._call("prompt", task, item))

    def score(self, answers: Sequence[Answers]) -> list[list[Scored]]:
        """See `contract.Environment`. All of them in one round trip, unless the process breaks on the way."""
        with self._lock:
            scored = self._score_all(answers)
        for each in (each for group in scored for each in group if isinstance(each, Unscored)):
            self._on_failure(each.reason)
        return scored

    def close(self) -> None:
        """Ends the process and what it started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            self._rest = b""

    def _score_all(self, answers: Sequence[Answers]) -> list[list[Scored]]:
        scored: list[list[Scored]] = []
        broken = 0
        while len(scored) < len(answers):
            if broken == FAILURES_IN_A_ROW:
                cause = f"the environment's process broke {broken} times in a row"
                scored.append([Unscored("given_up", cause) for _ in answers[len(scored)].texts])
                continue
            try:
                for each in self._score(answers[len(scored) :]):
                    scored.append(each)
                    broken = 0
            except Broken as error:
                broken += 1
                scored.append(self._one_by_one(answers[len(scored)], error))
            except EnvironmentFailed as error:  # it doesn't start any more
                scored.append([Unscored("error", str(error)) for _ in answers[len(scored)].texts])
        return scored

    def _one_by_one(self, group: Answers, error: Broken) -> list[Scored]:
        """The group that broke the process: its completions one at a time, so that only the guilty are lost."""
        if len(group.texts) == 1:
            return [Unscored(error.reason, str(error))]
        scored: list[Scored] = []
        broken = 0
        for text in group.texts:
            if broken == FAILURES_IN_A_ROW:
                scored.append(Unscored("given_up", f"the environment's process broke {broken} times in a row"))
                continue
            try:
                scored += next(self._score([Answers(group.task, group.item, (text,))]))
                broken = 0
            except Broken as again:
                broken += 1
                scored.append(Unscored(again.reason, str(again)))
            except EnvironmentFailed as again:
                scored.append(Unscored("error", str(again)))
        return scored

    def _score(self, answers: Sequence[Answers]) -> Iterator[list[Scored]]:
        """The groups' scores as they come. Raises Broken at the first that does not."""
        request = {"call": "score", "args": [[each.task, each.item, list(each.texts)] for each in answers]}
        self._send(request)
        for group in answers:
            answer = self._receive(self._launch.score_seconds)
            if "error" in answer:
                self._broke("protocol", answer["error"])
            try:
                scored = [_scored(each) for each in answer["ok"]]
            except (KeyError, TypeError, ValueError) as error:
                self._broke("protocol", f"not a list of scores: {error}")
            if len(scored) != len(group.texts):
                self._broke("protocol", f"{len(scored)} scores of {len(group.texts)} completions")
            yield scored

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


def _scored(data: dict[str, Any]) -> Scored:
    if "reason" in data:
        if data["reason"] not in FAILURES:
            raise ValueError(f"unknown reason {data['reason']!r}")
        return Unscored(data["reason"], str(data["cause"]))
    return Score(float(data["reward"]), {str(name): float(value) for name, value in data["components"].items()})
