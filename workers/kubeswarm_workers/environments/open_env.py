"""An OpenEnv server by URL: reset(seed=item) gives the question, each answer is a step's action.

The protocol is OpenEnv's WebSocket one (openenv 0.10, `EnvClient`): {"type": "reset" or "step", "data": ...} is
answered by {"type": "observation", "data": {"observation", "reward", "done"}}. An episode is found again by playing its
answers from the reset on, so that the server must do the same for the same seed and actions, and needs one session.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from websockets.sync.client import ClientConnection, connect

from kubeswarm_workers.environments.context import Context
from kubeswarm_workers.environments.contract import Score, Transcript, Turn
from kubeswarm_workers.environments.rows import field
from kubeswarm_workers.environments.split import Task

TASK = "openenv"
#: Seeds beyond the training ones that are looked at for each held-out item.
SEARCH = 20
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
REMEMBERED = 4096


@dataclass(frozen=True)
class Step:
    """What the server says: the text of its observation, the reward so far, and whether the episode is over."""

    text: str
    reward: float
    done: bool


class OpenEnvSource:
    """Implements `split.Source` and `split.Stepping`. `spec`: a spec's environment.openEnv, with its defaults."""

    def __init__(self, spec: Mapping[str, Any], context: Context) -> None:
        self._spec = spec
        parts = urlsplit(spec["url"])
        scheme = {"http": "ws", "https": "wss"}[parts.scheme]
        self._url = urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/ws", "", ""))
        self._instruction = [Turn("system", spec["instruction"])] if spec["instruction"] else []
        self._connection: ClientConnection | None = None
        self._at: tuple[int, tuple[str, ...]] | None = None  # the episode that the session is in
        self._step = functools.lru_cache(maxsize=REMEMBERED)(self._play)
        items = spec["items"]
        spare = range(items, items + SEARCH * (context.held_out_items + 1))
        self.tasks = {TASK: Task(items=items, spare=spare)}

    def turns(self, task: str, item: int) -> tuple[Turn, ...]:
        """The instruction and the first observation."""
        return (*self._instruction, Turn("user", self._step(item, ()).text))

    def step(self, task: str, item: int, transcript: Transcript) -> list[Turn]:
        """The observation after the last answer; nothing where the server says that the episode is done."""
        step = self._step(item, _said(transcript))
        return [] if step.done else [Turn("user", step.text)]

    def score(self, task: str, item: int, transcripts: Sequence[Transcript]) -> list[Score]:
        """The sum of the steps' rewards."""
        steps = [self._step(item, _said(each)) for each in transcripts]
        return [Score(step.reward, {"done": float(step.done)}) for step in steps]

    def _play(self, item: int, said: tuple[str, ...]) -> Step:
        try:
            return self._reach(item, said)
        except BaseException:  # of a session that failed nothing is known any more
            self._close()
            raise

    def _reach(self, item: int, said: tuple[str, ...]) -> Step:
        if not said:
            self._at = (item, ())
            return self._read(self._ask("reset", {**self._spec["resetArgs"], "seed": item}), 0.0)
        before = self._step(item, said[:-1])
        if before.done:
            return before
        if self._at != (item, said[:-1]):
            self._ask("reset", {**self._spec["resetArgs"], "seed": item})
            for each in said[:-1]:
                self._ask("step", self._action(each))
        self._at = (item, said)
        return self._read(self._ask("step", self._action(said[-1])), before.reward)

    def _action(self, text: str) -> dict[str, Any]:
        return {**self._spec["actionArgs"], self._spec["action"]: text}

    def _read(self, data: Mapping[str, Any], reward: float) -> Step:
        text = field(data["observation"], self._spec["observation"])
        return Step(str(text), reward + float(data.get("reward") or 0.0), bool(data.get("done", False)))

    def _ask(self, kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
        if self._connection is None:
            self._connection = connect(self._url, max_size=MAX_MESSAGE_BYTES)
        self._connection.send(json.dumps({"type": kind, "data": data}))
        answer = json.loads(self._connection.recv())
        if answer.get("type") == "error":
            raise RuntimeError(f"{self._spec['url']} refuses {kind}: {answer['data'].get('message', answer['data'])}")
        return answer["data"]

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._at = None


def _said(transcript: Transcript) -> tuple[str, ...]:
    return tuple(turn.content for turn in transcript if turn.role == "assistant")
