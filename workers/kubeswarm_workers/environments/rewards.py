"""Rewards of rows: your own functions with TRL's or verl's signature, the expected answer's text, a program's tests."""

import asyncio
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from kubeswarm_workers.environments import sandbox
from kubeswarm_workers.environments.context import Context, function
from kubeswarm_workers.environments.contract import (
    COMPONENT,
    MAX_COMPONENTS,
    STRICT,
    Score,
    Scored,
    Transcript,
    Turn,
    Unscored,
)
from kubeswarm_workers.environments.reward import weighted
from kubeswarm_workers.environments.rows import Row, field

#: (row, the prompt's turns, completions) to scores.
Reward = Callable[[Row, Sequence[Turn], Sequence[Transcript]], Sequence[Scored]]
#: The same to a number and more named numbers for each completion; None where it doesn't apply.
Function = Callable[[Row, Sequence[Turn], Sequence[Transcript]], Sequence[tuple[float, dict[str, float]] | None]]


def reward_of(spec: Mapping[str, Any], fields: Mapping[str, str], context: Context) -> Reward:
    """The reward of a spec's environment.dataset.reward."""
    if "python" in spec:
        return coded(context.module(spec["python"]["code"]), spec["python"]["functions"], fields)
    if "program" in spec:
        return program(spec["program"])
    return match(spec["match"], fields)


def match(spec: Mapping[str, Any], fields: Mapping[str, str]) -> Reward:
    """Format, similarity and equality of the answer's text, without regard to case and space around it."""

    def reward(row: Row, turns: Sequence[Turn], transcripts: Sequence[Transcript]) -> list[Scored]:
        expected = str(field(row, fields["answer"])).strip()
        right = expected.casefold()
        return [
            weighted(
                transcript[-1].content,
                expected,
                lambda answer: float(answer.casefold() == right),
                spec["reward"],
                spec["answerTags"],
            )
            for transcript in transcripts
        ]

    return reward


def program(spec: Mapping[str, Any]) -> Reward:
    """The share of tests that the completion's program passes; strict where it passes all."""
    limits = sandbox.Limits(seconds=spec["seconds"], memory=spec["memoryMebibytes"] << 20)

    def reward(row: Row, turns: Sequence[Turn], transcripts: Sequence[Transcript]) -> list[Scored]:
        tests = [sandbox.Case(str(each["input"]), str(each["output"])) for each in field(row, spec["tests"])]
        return [sandbox.score(each[-1].content, tests, limits) for each in transcripts]

    return reward


def coded(
    module: ModuleType, specs: Sequence[Mapping[str, Any]], fields: Mapping[str, str], steps: bool = False
) -> Reward:
    """The weighted sum of functions of the module, each also a component under its name. `steps`: completions may
    have several turns."""
    functions = [(spec, adapted(function(module, spec["name"]), fields, steps)) for spec in specs]

    def reward(row: Row, turns: Sequence[Turn], transcripts: Sequence[Transcript]) -> list[Scored]:
        count = len(transcripts)
        totals = [0.0] * count
        components: list[dict[str, float]] = [{} for _ in transcripts]
        applied = [False] * count
        for spec, call in functions:
            results = call(row, turns, transcripts)
            if len(results) != count:
                raise ValueError(f"{spec['name']} gave {len(results)} rewards for {count} completions")
            for index, result in enumerate(results):
                if result is None:
                    continue
                value, more = result
                applied[index] = True
                totals[index] += spec["weight"] * value
                named = {**more, spec["name"].lower().lstrip("_"): value}
                if spec["strict"]:
                    named[STRICT] = float(value >= 1.0)
                components[index] |= {name: each for name, each in named.items() if COMPONENT.fullmatch(name)}
        return [
            Score(total, dict(list(parts.items())[-MAX_COMPONENTS:]))
            if some
            else Unscored("error", "no reward function gave a reward")
            for total, parts, some in zip(totals, components, applied, strict=True)
        ]

    return reward


def adapted(call: Callable[..., Any], fields: Mapping[str, str], steps: bool = False) -> Function:
    """The function behind one signature, whichever of the two it has."""
    return _verl(call, fields) if "solution_str" in inspect.signature(call).parameters else _trl(call, fields, steps)


def named(values: Mapping[str, Any]) -> dict[str, float]:
    """The numbers among `values` as components: names in lower case, with _ for what a name can't hold."""
    found = {
        re.sub(r"[^a-z0-9_]", "_", name.lower()).lstrip("_0123456789")[:32]: value for name, value in values.items()
    }
    numbers = {name: float(value) for name, value in found.items() if name and isinstance(value, int | float | bool)}
    return dict(list(numbers.items())[:MAX_COMPONENTS])


def messages(turns: Sequence[Turn]) -> list[dict[str, str]]:
    """Turns as TRL and chat templates have them."""
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def _trl(call: Callable[..., Any], fields: Mapping[str, str], steps: bool) -> Function:
    """TRL's: lists of prompts and completions and of each column; conversations where the prompt is one, and where a
    completion has several turns."""

    def scored(
        row: Row, turns: Sequence[Turn], transcripts: Sequence[Transcript]
    ) -> list[tuple[float, dict[str, float]] | None]:
        count = len(transcripts)
        columns = {name: [value] * count for name, value in row.items() if name not in ("prompt", "completion")}
        if isinstance(field(row, fields["prompt"]), str) and not steps:
            prompts: list[Any] = [turns[-1].content] * count
            completions: list[Any] = [each[-1].content for each in transcripts]
        else:
            prompts = [messages(turns)] * count
            completions = [messages(each) for each in transcripts]
        result = call(prompts=prompts, completions=completions, **columns)
        rewards = asyncio.run(result) if inspect.iscoroutine(result) else result
        return [None if each is None else (float(each), {}) for each in rewards]

    return scored


def _verl(call: Callable[..., Any], fields: Mapping[str, str]) -> Function:
    """verl's: one completion at a time, the answer as ground_truth; a number, or a map with "score" and more. Several
    turns are one text, those of the environment among them."""

    def one(row: Row, text: str) -> tuple[float, dict[str, float]]:
        result = call(
            data_source=row.get("data_source", ""),
            solution_str=text,
            ground_truth=field(row, fields["answer"]),
            extra_info=row.get("extra_info"),
        )
        if not isinstance(result, Mapping):
            return float(result), {}
        more = {str(name): float(value) for name, value in result.items() if isinstance(value, int | float | bool)}
        return float(result["score"]), more

    return lambda row, turns, transcripts: [one(row, "\n".join(turn.content for turn in each)) for each in transcripts]
