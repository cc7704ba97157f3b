"""Engines, their weights and their deaths: real vLLM in real Ray actors."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
import ray.cloudpickle
import torch

from kubeswarm_api import names
from kubeswarm_api.spec_algorithm import Algorithm
from kubeswarm_api.spec_training import Rollout
from kubeswarm_workers.learn.batch import Row, Sample
from kubeswarm_workers.learn.model import Policy
from kubeswarm_workers.learn.step import Learner
from kubeswarm_workers.node import PROBE_TOLERANCE
from kubeswarm_workers.place import Place
from kubeswarm_workers.rollout import cluster
from kubeswarm_workers.rollout import engines as engines_module
from kubeswarm_workers.rollout.engine import Engine
from kubeswarm_workers.rollout.engines import EnginesFailed
from kubeswarm_workers.rollout.pool import Pool, Switch, Weights, WeightsDiffer
from kubeswarm_workers.rollout.sampling import EngineSpec, Request, Sampled, shares
from kubeswarm_workers.weights import Packed, Snapshot
from tests.unit.workers import trainers

PROMPT = tuple(range(5, 45))
#: Forward passes before an update in flight.
PASSES = 6


def test_shares_are_even_and_whole() -> None:
    for count in range(20):
        for engines in range(1, 6):
            parts = shares(count, engines)
            assert [at for part in parts for at in part] == list(range(count))
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


class StaleHead(Engine):
    """An engine which forgets to pack its output layer again."""

    def __init__(self, spec: EngineSpec) -> None:
        super().__init__(spec)
        from kubeswarm_workers.rollout.transfer import ObjectStoreTransfer

        ObjectStoreTransfer._repack_tied_head = lambda self: None


class Remembering(Engine):
    """An engine which does not reset its prefix cache."""

    def _forget(self) -> None:
        pass


@pytest.fixture(scope="module")
def ray_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A head that offers two engines."""
    place: Place = trainers.fresh_place(tmp_path_factory.mktemp("ray"))
    os.environ["OMP_NUM_THREADS"] = "2"
    processes = cluster.start(place, head=None, engines=2)
    try:
        cluster.connect(processes, lambda: False)
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        yield
        cluster.disconnect()
    finally:
        processes.stop()


@pytest.mark.engine
def test_a_start_of_ray_that_fails_is_made_again(tmp_path: Path) -> None:
    processes = cluster.start(trainers.fresh_place(tmp_path), head=None, engines=0)
    try:
        first = processes.process
        first.kill()
        cluster.wait_until_started(processes, lambda: False)
        assert processes.process is not first and processes.process.poll() is None
    finally:
        processes.stop()
    assert not processes.directory.exists()


@pytest.fixture
def learner(tiny_model: Path) -> Learner:
    return Learner(Policy(tiny_model, None, seed=0), Algorithm(learning_rate=1e-2, baseline="none"), Rollout())


def spec(model: Path) -> EngineSpec:
    return EngineSpec(str(model), "float32", 512, 64, 24, 1.0, "</answer>")


def weights(learner: Learner) -> Weights:
    """The learner's policy as it is now, whatever it learns after."""
    now = Snapshot(learner.policy.packed)
    logprobs = learner.sequence_logprobs(PROMPT)
    tolerance = PROBE_TOLERANCE["float32", learner.policy.device.type]
    return Weights(now.digest, now.tensors, list(PROMPT), lambda: logprobs, tolerance)


def train(learner: Learner) -> None:
    learner.update([Row(PROMPT, (Sample((50, 51, 52), (-1.0, -1.0, -1.0), 1.0),), "local")], round=1)


def make(model: Path, engines: int, engine: type[Engine] = Engine, wanted: Callable[[], int] | None = None) -> Pool:
    return Pool(spec(model), engines, lambda text: None, lambda: False, wanted or (lambda: engines), engine)


def process_of(pool: Pool, index: int) -> int:
    actor: Any = pool._actors[index]
    return ray.get(actor.process_id.remote())


REQUESTS = [Request((*PROMPT, index), 4, 1000 * index) for index in range(6)]


@pytest.mark.engine
def test_a_left_out_tensor_raises_the_alarm(ray_cluster: None, tiny_model: Path, learner: Learner) -> None:
    pool = make(tiny_model, 1)
    try:
        pool.sync(weights(learner))
        assert pool.mismatches == 0
        train(learner)

        def without_one(changed_only: bool) -> Iterator[Packed]:
            tensors = list(learner.policy.packed(changed_only))
            yield from (tensors[:5] + tensors[6:] if changed_only else tensors)

        pool.sync(replace(weights(learner), pack=without_one))
        assert pool.mismatches == 1  # noticed, and healed by sending everything
        train(learner)

        def never_one(changed_only: bool) -> Iterator[Packed]:
            tensors = list(learner.policy.packed(changed_only))
            yield from tensors[:5] + tensors[6:]

        with pytest.raises(WeightsDiffer, match="holds the policy"):
            pool.sync(replace(weights(learner), pack=never_one))
    finally:
        pool.close()


@pytest.mark.engine
def test_a_stale_packed_copy_raises_the_alarm(ray_cluster: None, tiny_model: Path, learner: Learner) -> None:
    """All tensors arrive, so that the digests agree; only the probe's log-probabilities tell."""
    pool = make(tiny_model, 1, StaleHead)
    try:
        pool.sync(weights(learner))
        for _ in range(5):
            train(learner)
        with pytest.raises(WeightsDiffer, match="log-probabilities of the probe are off"):
            pool.sync(weights(learner))
    finally:
        pool.close()


@pytest.mark.engine
def test_a_prefix_cache_of_other_weights_raises_the_alarm(
    ray_cluster: None, tiny_model: Path, learner: Learner
) -> None:
    """Digests and fresh log-probabilities agree; only what is computed on top of the cache is wrong."""
    pool = make(tiny_model, 1, Remembering)
    try:
        pool.sync(weights(learner))
        for _ in range(5):
            train(learner)
        with pytest.raises(WeightsDiffer, match="the prefix cache is of other weights"):
            pool.sync(weights(learner))
    finally:
        pool.close()


@pytest.mark.engine
def test_sampled_logprobs_are_the_learners_and_deaths_change_nothing(
    ray_cluster: None, tiny_model: Path, learner: Learner
) -> None:
    train(learner)
    pool = make(tiny_model, 2)
    try:
        pool.sync(weights(learner))
        first = pool.generate(REQUESTS)
        assert [len(group) for group in first] == [4] * 6
        for request, group in zip(REQUESTS, first, strict=True):
            for sampled in group:
                assert logprobs(learner, request, sampled) == pytest.approx(sampled.logprobs, abs=1e-4)
                assert sampled.truncated == (len(sampled.tokens) == 24)
        assert pool.generate(REQUESTS) == first

        victim = process_of(pool, 1)
        killer = threading.Thread(target=lambda: (time.sleep(0.02), os.kill(victim, signal.SIGKILL)))
        killer.start()
        again = pool.generate(REQUESTS)
        killer.join()
        assert again == first
        assert pool.generate(REQUESTS) == first
        assert process_of(pool, 1) != victim

        pool.resize(1)
        assert len(pool.generate(REQUESTS)) == 6
    finally:
        pool.close()


@ray.remote(num_cpus=0, resources={names.RAY_ENGINE_RESOURCE: 1})
class Occupant:
    """Takes an engine's place, as if its pod were gone."""

    def arrived(self) -> None:
        pass


@pytest.mark.engine
def test_a_round_goes_on_with_the_engines_that_are_left(ray_cluster: None, tiny_model: Path, learner: Learner) -> None:
    """A rollout pod is taken away for good while its engine samples, and fewer are wanted a little later."""
    wanted = [2]
    pool = make(tiny_model, 2, wanted=lambda: wanted[0])
    occupant: Any = None
    try:
        pool.sync(weights(learner))
        first = pool.generate(REQUESTS)
        survivor, victim = process_of(pool, 1), process_of(pool, 0)
        occupant = Occupant.remote()  # waits for the victim's place

        def take_away() -> None:
            os.kill(victim, signal.SIGKILL)
            ray.get(occupant.arrived.remote())
            wanted[0] = 1

        taker = threading.Timer(0.02, take_away)
        taker.start()
        assert pool.generate(REQUESTS) == first, "the share of the one that is gone was sampled by the other"
        taker.join()
        assert [process_of(pool, index) for index in range(len(pool._actors))] == [survivor]
        pool.sync(weights(learner))
        assert [len(group) for group in pool.generate(REQUESTS)] == [4] * 6
    finally:
        pool.close()
        if occupant is not None:
            ray.kill(occupant)


def logprobs(learner: Learner, request: Request, sampled: Sampled) -> list[float]:
    with torch.no_grad():
        return learner.sequence_logprobs([*request.prompt, *sampled.tokens])[len(request.prompt) - 1 :]


def each(groups: list[list[Sampled]]) -> Iterator[tuple[Request, Sampled]]:
    for request, group in zip(REQUESTS, groups, strict=True):
        for sampled in group:
            yield request, sampled


@pytest.mark.engine
def test_an_update_in_flight_changes_completions_from_a_fixed_token_on(
    ray_cluster: None, tiny_model: Path, learner: Learner
) -> None:
    """Each token's log-probability is that of the policy that sampled it, and a death on the way changes nothing."""
    pool = make(tiny_model, 2)
    try:
        old = weights(learner)
        pool.sync(old)
        plain = pool.generate(REQUESTS)
        untrained = Learner(Policy(tiny_model, None, seed=0), Algorithm(), Rollout())
        for _ in range(3):
            train(learner)
        new = weights(learner)
        switched = pool.generate(REQUESTS, Switch(PASSES, lambda: new))
        assert pool.mismatches == 0
        stale: list[float] = []
        for (request, sampled), (_, would) in zip(each(switched), each(plain), strict=True):
            assert sampled.switched_at == (PASSES if len(sampled.tokens) > PASSES else None)
            assert sampled.tokens[:PASSES] == would.tokens[:PASSES]
            assert sampled.logprobs[:PASSES] == would.logprobs[:PASSES]
            was, now = (logprobs(policy, request, sampled) for policy in (untrained, learner))
            assert sampled.logprobs[:PASSES] == pytest.approx(was[:PASSES], abs=1e-4)
            assert sampled.logprobs[PASSES:] == pytest.approx(now[PASSES:], abs=1e-4)
            stale += [abs(a - b) for a, b in zip(was[PASSES:], now[PASSES:], strict=True)]
        assert max(stale) > 1e-2  # or it would not matter whose they are

        after = pool.generate(REQUESTS)
        for request, sampled in each(after):
            assert sampled.switched_at is None
            assert sampled.logprobs == pytest.approx(logprobs(learner, request, sampled), abs=1e-4)

        pool.sync(old)
        victims = iter([process_of(pool, 1)])

        def after_a_death() -> Weights:
            for victim in victims:
                os.kill(victim, signal.SIGKILL)
            return new

        assert pool.generate(REQUESTS, Switch(PASSES, after_a_death)) == switched
        assert next(victims, None) is None and pool.generate(REQUESTS) == after
    finally:
        pool.close()


@pytest.mark.engine
def test_what_was_computed_before_an_update_in_flight_may_not_be_used_after_it(
    ray_cluster: None, tiny_model: Path, learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines_module, "MAX_LOSSES", 1)
    pool = make(tiny_model, 1, Remembering)
    try:
        pool.sync(weights(learner))
        for _ in range(5):
            train(learner)
        new = weights(learner)
        with pytest.raises(EnginesFailed, match="the prefix cache is of other weights"):
            pool.generate(REQUESTS, Switch(PASSES, lambda: new))
        assert pool.mismatches == 1
    finally:
        pool.close()
