"""The engines of one Node, as the trainer sees them: with the learner's weights, or replaced.

The requests of a round are dealt by index, a share an engine; the share of an engine that died is sampled again as a
whole, by its successor or by another, with the same seeds, so that the round's batch does not depend on who died.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray

from kubeswarm_workers.rollout.engine import Engine
from kubeswarm_workers.rollout.engines import Engines
from kubeswarm_workers.rollout.sampling import EngineSpec, Request, Sampled, shares
from kubeswarm_workers.weights import Packed, chunks

log = logging.getLogger(__name__)


class WeightsDiffer(Exception):
    """After a transfer an engine does not hold the learner's policy."""


@dataclass(frozen=True)
class Weights:
    """The learner's policy: its digest; `pack(changed_only)`; and a sequence with its log-probabilities, which the
    engines must find too, to `tolerance` in the mean. They may still be computed while the tensors are on their way."""

    digest: bytes
    pack: Callable[[bool], Iterator[Packed]]
    probe_tokens: list[int]
    probe_logprobs: Callable[[], Sequence[float]]
    tolerance: float

    def difference(self, digest: bytes, probe: tuple[Sequence[float], float]) -> str | None:
        """What shows that an engine does not hold this policy.

        Each shows what the others can't: the digest what did not arrive, the probe what arrived and is not in use
        (a packed copy), the probe through the prefix cache what was computed with the weights before.
        """
        fresh, cached = probe
        if digest != self.digest:
            return f"it holds the policy {digest.hex()[:16]}, the learner {self.digest.hex()[:16]}"
        gaps = [abs(ours - theirs) for ours, theirs in zip(self.probe_logprobs(), fresh, strict=True)]
        gap = sum(gaps) / len(gaps)
        if not gap <= self.tolerance:
            return f"log-probabilities of the probe are off by {gap:.3g} in the mean, at most {self.tolerance:g}"
        stale = abs(cached - fresh[-1])
        if not stale <= self.tolerance:
            return f"the prefix cache is of other weights: a log-probability is off by {stale:.3g} through it"
        return None


@dataclass(frozen=True)
class Switch:
    """An update in flight: each engine stops after this many forward passes, and goes on with what `weights()` gives,
    which waits until that is known."""

    passes: int
    weights: Callable[[], Weights]


class Pool(Engines):
    """Engines that hold one policy, and what they sample with it."""

    def __init__(
        self,
        spec: EngineSpec,
        engines: int,
        report: Callable[[str], None],
        stopping: Callable[[], bool],
        wanted: Callable[[], int],
        engine: type[Engine] = Engine,
    ) -> None:
        super().__init__(spec, engines, report, stopping, wanted, engine)
        self._weights: Weights | None = None
        self.mismatches = 0

    def sync(self, weights: Weights) -> None:
        """Brings every engine to `weights`, and proves it: by digest, and by the probe's log-probabilities.

        Raises WeightsDiffer if an engine still differs after it was sent everything, EnginesFailed, Stopped.
        """
        self._weights = weights
        self._recover(lambda: self._send(set(range(len(self._actors)))))

    def _send(self, targets: set[int]) -> None:
        assert self._weights is not None
        for changed_only, group in ((False, targets & self._fresh), (True, targets - self._fresh)):
            if group:
                self._transfer(group, changed_only)

    def _transfer(self, group: set[int], changed_only: bool) -> None:
        weights = self._weights
        assert weights is not None
        digests = self._deliver(weights, group, changed_only)
        probes = self._call(group, "probe", weights.probe_tokens)
        for index in sorted(group):
            if self._actors[index] is None:
                continue
            problem = weights.difference(digests[index], probes[index])
            if problem is None:
                self._fresh.discard(index)
                continue
            self.mismatches += 1
            if changed_only:
                log.error("weights differ after a transfer; sending all", extra={"engine": index, "cause": problem})
                self._fresh.add(index)
                self._transfer({index}, changed_only=False)
            else:
                raise WeightsDiffer(f"engine {index}: {problem}")

    def _deliver(self, weights: Weights, group: set[int], changed_only: bool) -> dict[int, bytes]:
        """The digests of what the engines hold after it."""
        self._call(group, "start_update")
        loading: dict[int, Any] = {}
        for chunk in chunks(weights.pack(changed_only)):  # the next one is packed while the engines load this one
            message = ray.put(chunk)
            self._results(loading)
            loading = self._begin(self._alike(group, "receive", message))
        self._results(loading)
        return self._call(group, "finish_update")

    def generate(self, requests: Sequence[Request], switch: Switch | None = None) -> list[list[Sampled]]:
        """Samples all requests; with a `switch` across a change of weights, which then all engines hold.

        Raises EnginesFailed, WeightsDiffer, Stopped, and what `switch.weights` does.
        """
        parts = [[requests[at] for at in part] for part in shares(len(requests), len(self._actors))]
        results = self._sampled(parts) if switch is None else self._switched(parts, switch)
        return [sampled for index, part in enumerate(parts) if part for sampled in results[index]]

    def _sampled(self, parts: Sequence[list[Request]]) -> dict[int, list[list[Sampled]]]:
        """The samples of each part. An engine takes one that is left: there may be fewer engines than parts by now."""
        results: dict[int, list[list[Sampled]]] = {}

        def work() -> None:
            self._send(set(self._fresh))
            left = [at for at, part in enumerate(parts) if part and at not in results]
            present = [index for index, actor in enumerate(self._actors) if actor is not None]
            dealt = dict(zip(present, left, strict=False))
            sampled = self._results(self._begin({index: ("generate", parts[at]) for index, at in dealt.items()}))
            results.update({dealt[index]: each for index, each in sampled.items()})

        while len(results) < sum(map(bool, parts)):
            self._recover(work)
        return results

    def _switched(self, parts: Sequence[list[Request]], switch: Switch) -> dict[int, list[list[Sampled]]]:
        """The samples of each part, across a change of weights: all at once, so that each part has its engine."""
        results: dict[int, list[list[Sampled]]] = {}
        switched: set[int] = set()

        def work() -> None:
            switched.difference_update(self._fresh)
            self._send(set(self._fresh))
            asked = {
                index: [] if index in results else part
                for index, part in enumerate(parts)
                if self._actors[index] is not None and index not in switched
            }
            sampled = self._across(asked, switch)
            switched.update(sampled)
            results.update({index: each for index, each in sampled.items() if asked[index]})

        self._recover(work, fewer=False)
        self._weights = switch.weights()
        return results

    def _across(self, asked: Mapping[int, list[Request]], switch: Switch) -> dict[int, list[list[Sampled]]]:
        """What was sampled by the engines that hold the new weights afterwards.

        The probe has to wait until nothing is kept any more. An engine that fails it is lost, with what it sampled.
        """
        begun = self._results(self._begin({index: ("begin", share, switch.passes) for index, share in asked.items()}))
        weights = switch.weights()
        digests = self._deliver(weights, set(begun), changed_only=True)
        sampled = self._call(set(digests), "finish")
        probes = self._call(set(sampled), "probe", weights.probe_tokens)
        for index, probe in probes.items():
            if (problem := weights.difference(digests[index], probe)) is not None:
                self.mismatches += 1
                self._lose(index, WeightsDiffer(problem))
                del sampled[index]
        return {index: each for index, each in sampled.items() if index in probes}
