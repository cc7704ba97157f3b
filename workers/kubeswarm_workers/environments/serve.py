"""The environment's own process: one JSON request a line in, one JSON answer a line out.

First line: {"environment": ..., "seed": ..., "heldOutItems": ...}. Then {"call": name, "args": [...]}. Answers are
{"ok": value} or {"error": text}. The process ends with its standard input.
"""

import json
import os
import resource
import sys
import warnings
from dataclasses import asdict
from typing import Any

from kubeswarm_api.spec_environment import Environment as EnvironmentSpec
from kubeswarm_workers.environments.contract import Environment

#: Address space: an environment that eats more fails by itself instead of taking the trainer with it.
MEMORY_BYTES = 4 * 1024**3
CALLS = ("draw", "held_out", "prompt", "score")


def build(spec: EnvironmentSpec, seed: int, held_out_items: int) -> Environment:
    """The environment that a spec names."""
    from kubeswarm_workers.environments.reasoning import ReasoningEnvironment

    assert spec.reasoning_gym is not None, "the spec's own check: exactly one kind is set"
    return ReasoningEnvironment(spec.reasoning_gym, seed, held_out_items)


def plain(value: Any) -> Any:
    """Dataclasses, in lists or alone, as JSON data."""
    return [asdict(each) for each in value] if isinstance(value, list) else asdict(value)


def main() -> None:
    """Answers requests until standard input ends. What the environment prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    environment: Environment | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if environment is None:
                spec = EnvironmentSpec.model_validate(request["environment"])
                environment = build(spec, request["seed"], request["heldOutItems"])
                answer: dict[str, Any] = {"ok": None}
            else:
                assert request["call"] in CALLS
                answer = {"ok": plain(getattr(environment, request["call"])(*request["args"]))}
        except (Exception, RecursionError) as error:  # whatever a task raises is an answer, not the end
            answer = {"error": f"{type(error).__name__}: {error}"[:2000]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
