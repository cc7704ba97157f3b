"""The environment's own process: one JSON request a line in, JSON answers out, one a line.

First line: {"kind": ..., "spec": {...}, "seed": ..., "heldOutItems": ..., "files": directory, "memory": bytes}. Then
{"call": name, "args": [...]}. Answers are {"ok": value} or {"error": text}. The calls "score" and "step" have a line
for each group of completions, in order, as soon as it is there: the trainer's deadline is for each, and what hangs can
be told from what doesn't. The process ends with its standard input.

It runs under the environment's own interpreter (see `venv`), so it needs the standard library and the kind's package.
"""

import importlib
import json
import os
import resource
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kubeswarm_workers.environments.context import Context
from kubeswarm_workers.environments.contract import Answers, Environment, Score, Stepped, Turn, Unscored
from kubeswarm_workers.environments.split import Source, Split

#: Where the source of each kind is made: module and name, called with (spec, context).
KINDS = {
    "reasoningGym": ("reasoning", "ReasoningSource"),
    "dataset": ("table", "dataset"),
    "python": ("table", "python"),
    "verifiers": ("verifiers_kind", "source"),
    "openEnv": ("open_env", "OpenEnvSource"),
}


def build(kind: str, spec: dict[str, Any], context: Context) -> Environment:
    """The environment of one kind of the spec, with its defaults filled in."""
    module, name = KINDS[kind]
    source: Callable[..., Source] = getattr(importlib.import_module(f"kubeswarm_workers.environments.{module}"), name)
    return Split(source(spec, context), context.seed, context.held_out_items)


def result_json(result: Score | Stepped) -> dict[str, Any]:
    """A score, a step or a failure as JSON data."""
    if isinstance(result, Unscored):
        return {"reason": result.reason, "cause": result.cause}
    if isinstance(result, Score):
        return {"reward": result.reward, "components": dict(result.components)}
    return {"turns": [asdict(turn) for turn in result]}


def answers_to(environment: Environment, request: dict[str, Any]) -> Iterator[Any]:
    """The values that one call is answered with."""
    call, args = request["call"], request["args"]
    if call in ("score", "step"):
        answer = environment.score if call == "score" else environment.step
        for task, item, transcripts in args:
            group = Answers(task, item, tuple(tuple(Turn(*turn) for turn in each) for each in transcripts))
            [results] = answer([group])
            yield [result_json(each) for each in results]
    elif call == "prompt":
        yield asdict(environment.prompt(*args))
    elif call == "draw":
        yield [asdict(prompt) for prompt in environment.draw(*args)]
    elif call == "held_out":
        yield [asdict(prompt) for prompt in environment.held_out()]
    else:
        raise ValueError(f"unknown call {call!r}")


def main() -> None:
    """Answers requests until standard input ends. What the environment prints goes to standard error."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    environment: Environment | None = None

    def send(answer: dict[str, Any]) -> None:
        out.write(json.dumps(answer) + "\n")
        out.flush()

    for line in sys.stdin:
        request = json.loads(line)
        try:
            if environment is None:
                # Address space: what eats more fails by itself instead of taking the trainer with it.
                resource.setrlimit(resource.RLIMIT_AS, (request["memory"], request["memory"]))
                context = Context(request["seed"], request["heldOutItems"], Path(request["files"]))
                environment = build(request["kind"], request["spec"], context)
                send({"ok": None})
            else:
                for value in answers_to(environment, request):
                    send({"ok": value})
        except (Exception, RecursionError, SystemExit) as error:  # whatever a task raises is an answer, not the end
            send({"error": f"{type(error).__name__}: {error}"[:2000]})


if __name__ == "__main__":
    main()
