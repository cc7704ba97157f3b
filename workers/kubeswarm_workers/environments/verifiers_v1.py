"""A taskset of the verifiers library's v1 API (verifiers 0.4): its tasks' prompts, and their own rewards and metrics.

One answer is the whole rollout: a task is scored on a trace of the prompt and the answer, without a runtime. Tasks that
need one (tools, a container, a harness) are refused by name, rather than scored by half.
"""

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from itertools import islice
from types import ModuleType
from typing import Any

import verifiers.v1 as vf  # pyright: ignore[reportMissingImports]
from verifiers.v1.state import state_cls  # pyright: ignore[reportMissingImports]
from verifiers.v1.utils.generic import concrete_type  # pyright: ignore[reportMissingImports]

from kubeswarm_workers.environments.contract import Score, Transcript, Turn
from kubeswarm_workers.environments.rewards import named
from kubeswarm_workers.environments.split import Task
from kubeswarm_workers.environments.table import shuffled
from kubeswarm_workers.seeds import seed_of

MESSAGES = {"system": vf.SystemMessage, "user": vf.UserMessage, "assistant": vf.AssistantMessage}


def taskset_of(module: ModuleType) -> type | None:
    """The Taskset that a module defines or exports; None without one."""
    exported = getattr(module, "__all__", None) or vars(module)
    found = [getattr(module, name) for name in exported]
    tasksets = [each for each in found if isinstance(each, type) and issubclass(each, vf.Taskset)]
    return next((each for each in tasksets if each is not vf.Taskset), None)


class TasksetSource:
    """Implements `split.Source`. `spec`: a spec's environment.verifiers, with its defaults."""

    def __init__(self, taskset: Any, spec: Mapping[str, Any], seed: int) -> None:
        config_type = concrete_type(taskset, vf.TasksetConfig, origin=vf.Taskset) or vf.TasksetConfig
        config = config_type.model_validate(spec["config"])
        self._tasks = list(islice(iter(taskset(config)), spec["items"]))
        if not self._tasks:
            raise ValueError(f"{taskset.__name__} has no tasks with this config")
        if taskset.toolsets(config) or any(type(task).toolsets(task.config) for task in self._tasks[:1]):
            raise ValueError(
                f"{taskset.__name__} gives tools: only tasks that an answer alone solves can be trained on"
            )
        needing = [each.__name__ for each in self._tasks[0].hooks("reward") if _needs_runtime(each)]
        if needing:
            raise ValueError(
                f"the rewards {', '.join(needing)} of {taskset.__name__} need a runtime, which there is none"
            )
        name = taskset.__name__[:64]
        self.tasks = {name: Task(items=len(self._tasks), spare=shuffled(len(self._tasks), seed_of("held-out", seed)))}

    def turns(self, task: str, item: int) -> tuple[Turn, ...]:
        """The system prompt and the prompt of the task's data."""
        return tuple(Turn(each.role, vf_text(each.content)) for each in self._messages(item))

    def score(self, task: str, item: int, transcripts: Sequence[Transcript]) -> list[Score]:
        """The weighted sum of the task's rewards; each, and each metric, is a component."""
        return [asyncio.run(self._score(item, each)) for each in transcripts]

    def _messages(self, item: int) -> list[Any]:
        data = self._tasks[item].data
        system = [vf.SystemMessage(content=data.system_prompt)] if data.system_prompt else []
        if not data.prompt:
            raise ValueError(f"task {item} has no prompt")
        asked = [vf.UserMessage(content=data.prompt)] if isinstance(data.prompt, str) else list(data.prompt)
        return [*system, *asked]

    async def _score(self, item: int, transcript: Transcript) -> Score:
        task = self._tasks[item]
        answers = [MESSAGES[turn.role](content=turn.content) for turn in transcript]
        messages = [(each, False) for each in self._messages(item)] + [(each, True) for each in answers]
        trace = vf.Trace(
            task=vf.TraceTask(type=type(task).__name__, data=task.data, key=task.key, hash=task.hash),
            agent=vf.AgentInfo(config=vf.AgentConfig(runtime=vf.SubprocessConfig())),
            state=state_cls(type(task))(),
            nodes=[
                vf.MessageNode(parent=at - 1 if at else None, message=message, sampled=sampled)
                for at, (message, sampled) in enumerate(messages)
            ],
            is_completed=True,
            ok=True,
        )
        await task.score(trace)
        parts = {name: reward.score for name, reward in trace.rewards.items() if reward is not None}
        return Score(float(trace.reward), named({**parts, **trace.metrics}))


def vf_text(content: Any) -> str:
    """The text of a message's content."""
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content or [] if part.type == "text")


def _needs_runtime(call: Any) -> bool:
    parameter = inspect.signature(call).parameters.get("runtime")
    return parameter is not None and parameter.default is inspect.Parameter.empty
