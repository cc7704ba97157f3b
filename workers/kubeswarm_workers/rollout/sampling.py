"""What goes to an engine and what comes back."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class EngineSpec:
    """What an engine needs to know of the model and the work. `sequences`: completions in flight at a time."""

    model: str
    dtype: str
    context: int
    sequences: int
    max_tokens: int
    temperature: float
    stop: str


@dataclass(frozen=True)
class Request:
    """`samples` completions of one prompt; the seeds of its completions are seed, seed + 1, ..."""

    prompt: tuple[int, ...]
    samples: int
    seed: int


@dataclass(frozen=True)
class Sampled:
    """One completion: token ids and their processed log-probabilities, shape (T,); truncated: no stop was reached;
    switched_at: index of the first token that was sampled after a change of weights, None without one."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    truncated: bool
    switched_at: int | None = None


def shares(count: int, engines: int) -> list[range]:
    """The requests of each engine, contiguous and as even as can be: a function of the two numbers alone."""
    bounds = [count * engine // engines for engine in range(engines + 1)]
    return [range(first, last) for first, last in itertools.pairwise(bounds)]


Samples = Sequence[Sequence[Sampled]]
