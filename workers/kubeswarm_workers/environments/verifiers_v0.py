"""An environment of the verifiers library's v0 API (verifiers up to 0.3): load_environment(), dataset, rubric.

An episode is found again by playing its answers through the environment's own hooks (setup_state, env_response, stop
conditions), as `MultiTurnEnv.rollout` does with a model: the environment must answer the same to the same.
"""

import asyncio
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import verifiers as vf  # pyright: ignore[reportMissingImports]

from kubeswarm_workers.environments.context import function
from kubeswarm_workers.environments.contract import Score, Transcript, Turn
from kubeswarm_workers.environments.rewards import named
from kubeswarm_workers.environments.split import Task
from kubeswarm_workers.environments.table import shuffled
from kubeswarm_workers.seeds import seed_of

#: A client without a connection: the answers are here already.
NO_CLIENT = vf.OpenAIChatCompletionsClient(None)


class LegacySource:
    """Implements `split.Source` and `split.Stepping`. `spec`: a spec's environment.verifiers, with its defaults."""

    def __init__(self, module: ModuleType, spec: Mapping[str, Any], seed: int) -> None:
        self._environment: Any = function(module, "load_environment")(**spec["config"])
        if not isinstance(self._environment, vf.MultiTurnEnv) or isinstance(self._environment, vf.ToolEnv):
            kind = type(self._environment).__name__
            raise ValueError(f"{module.__name__} is a {kind}: only environments whose turns are text can be trained on")
        dataset = self._environment.get_dataset()
        self._rows: list[dict[str, Any]] = [
            dict(row) for row in dataset.select(range(min(len(dataset), spec["items"])))
        ]
        name = module.__name__.rpartition(".")[2][:64]
        self.tasks = {name: Task(items=len(self._rows), spare=shuffled(len(self._rows), seed_of("held-out", seed)))}

    def turns(self, task: str, item: int) -> tuple[Turn, ...]:
        """The row's prompt."""
        prompt = self._rows[item]["prompt"]
        return (Turn("user", prompt),) if isinstance(prompt, str) else tuple(map(_turn, prompt))

    def step(self, task: str, item: int, transcript: Transcript) -> list[Turn]:
        """What env_response says; nothing where a stop condition holds."""
        return asyncio.run(self._step(item, transcript))

    def score(self, task: str, item: int, transcripts: Sequence[Transcript]) -> list[Score]:
        """The rubric's reward; each of its functions is a component."""
        return asyncio.run(self._score(item, transcripts))

    async def _step(self, item: int, transcript: Transcript) -> list[Turn]:
        state = await self._state(item, transcript)
        if await self._environment.is_completed(state):
            return []
        before = len(state["trajectory"][-1]["prompt"]) + len(state["trajectory"][-1]["completion"])
        messages = await self._environment.get_prompt_messages(state)
        return [] if state.get("final_env_response") is not None else [_turn(each) for each in messages[before:]]

    async def _score(self, item: int, transcripts: Sequence[Transcript]) -> list[Score]:
        states = [await self._state(item, each) for each in transcripts]
        for state in states:
            # An answer that ends the episode is answered once more, for what the rubric reads of the state.
            if not await self._environment.is_completed(state):
                await self._environment.get_prompt_messages(state)
            await self._environment.render_completion(state)
        await self._environment.rubric.score_group(states)
        return [Score(float(state["reward"]), named(state["metrics"])) for state in states]

    async def _state(self, item: int, transcript: Transcript) -> Any:
        """The state after the transcript's last answer."""
        environment = self._environment
        state = await environment.init_state({**self._rows[item], "example_id": item}, NO_CLIENT, "")
        state = await environment.setup_state(state) or state
        for turn in transcript:
            if turn.role != "assistant":
                continue
            prompt = await environment.get_prompt_messages(state)
            step = {
                "prompt": prompt,
                "completion": [vf.AssistantMessage(content=turn.content)],
                "response": None,
                "tokens": None,
                "reward": None,
                "advantage": None,
                "is_truncated": False,
                "trajectory_id": state["trajectory_id"],
                "extras": {},
            }
            await environment.add_trajectory_step(state, step)
        return state


def _turn(message: Any) -> Turn:
    data = message if isinstance(message, Mapping) else message.model_dump()
    content = data["content"]
    text = content if isinstance(content, str) else "\n".join(part["text"] for part in content if "text" in part)
    return Turn("user" if data["role"] == "tool" else str(data["role"]), text)
