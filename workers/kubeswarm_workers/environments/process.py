"""An environment in a process of its own, with a deadline for each call; one that hangs or dies is started anew."""

import json
import logging
import os
import select
import subprocess
import sys
import threading
import time
from typing import Any

from kubeswarm_api.spec_environment import Environment as EnvironmentSpec
from kubeswarm_workers.environments.contract import EnvironmentFailed, Prompt, Score, Turn

log = logging.getLogger(__name__)

#: Seconds for the start (imports, the held-out set) and for any one call after.
START_SECONDS = 300.0
CALL_SECONDS = 60.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024


def _prompt(data: dict[str, Any]) -> Prompt:
    return Prompt(data["task"], data["item"], tuple(Turn(**turn) for turn in data["turns"]))


class EnvironmentProcess:
    """Implements `contract.Environment` by asking `environments.serve`; every failure is an EnvironmentFailed."""

    def __init__(
        self,
        spec: EnvironmentSpec,
        seed: int,
        held_out_items: int,
        *,
        call_seconds: float = CALL_SECONDS,
        command: tuple[str, ...] = (sys.executable, "-m", "kubeswarm_workers.environments.serve"),
    ) -> None:
        self._first = {"environment": spec.to_json(), "seed": seed, "heldOutItems": held_out_items}
        self._call_seconds = call_seconds
        self._command = command
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

    def score(self, task: str, item: int, answers: list[str]) -> list[Score]:
        """See `contract.Environment`."""
        return [Score(**each) for each in self._call("score", task, item, answers)]

    def close(self) -> None:
        """Ends the process, by force if it does not listen."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._rest = b""

    def _call(self, name: str, *args: object) -> Any:
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                self._exchange(self._first, START_SECONDS)
            return self._exchange({"call": name, "args": args}, self._call_seconds)

    def _exchange(self, request: object, seconds: float) -> Any:
        try:
            answer = self._send_and_wait(request, seconds)
        except (OSError, ValueError, TimeoutError) as error:
            log.warning("environment failed; it is started anew", extra={"cause": str(error)})
            self.close()
            raise EnvironmentFailed(str(error)) from error
        if "error" in answer:
            raise EnvironmentFailed(answer["error"])
        return answer["ok"]

    def _send_and_wait(self, request: object, seconds: float) -> dict[str, Any]:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        deadline = time.monotonic() + seconds
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                raise TimeoutError(f"the environment did not answer within {seconds:g} s")
            data = os.read(process.stdout.fileno(), 1 << 20)
            if not data:
                raise OSError(f"the environment's process ended with code {process.wait()}")
            self._rest += data
            if len(self._rest) > MAX_ANSWER_BYTES:
                raise ValueError(f"the environment's answer is over {MAX_ANSWER_BYTES} bytes")
        line, self._rest = self._rest.split(b"\n", 1)
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise ValueError("the environment's answer is not an object")
        return answer
