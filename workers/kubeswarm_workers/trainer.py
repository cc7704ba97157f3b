"""The life of a Node's trainer between start and end: round after round, each written before it counts."""

import contextlib
import logging
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

from kubeswarm_api import metrics as names
from kubeswarm_api.encoding import to_hex
from kubeswarm_api.records import REWARD_SCALE
from kubeswarm_api.reports import Phase
from kubeswarm_workers import config as configuration
from kubeswarm_workers import heldout, history, stored
from kubeswarm_workers.attest import spool
from kubeswarm_workers.environments.contract import Prompt
from kubeswarm_workers.gather import measure
from kubeswarm_workers.learn import checkpoint, snapshot
from kubeswarm_workers.learn.export import export
from kubeswarm_workers.node import Node
from kubeswarm_workers.place import Place
from kubeswarm_workers.progress import Progress
from kubeswarm_workers.rollout.pool import Switch, Weights
from kubeswarm_workers.round import Collected, Played, collect, play, publish
from kubeswarm_workers.stopping import Stopped

log = logging.getLogger(__name__)

#: The file of a checkpoint that holds the rollouts of the round after it.
AHEAD = "ahead.json"


class VolumeFailed(Exception):
    """What a round leaves could not be written: the message says why, and what to do."""


class Trainer:
    """Drives a Node from its last finished round to the last one of its spec."""

    def __init__(self, node: Node, place: Place, base: Path, progress: Progress, ahead: Collected | None) -> None:
        """`ahead`: the rollouts of the next round, where they were sampled before the last checkpoint."""
        self._node = node
        self._place = place
        self._base = base
        self._progress = progress
        self._ahead = ahead
        self._measured = heldout.read(place.held_out, progress.round)

    def train(self) -> None:
        """Plays the rounds that are missing, and leaves the trained model on the volume.

        With a staleness of 1 the rollouts of the next round are sampled while this one's update is computed: always
        with the policy before the update, or up to a fixed point, so that a run stays a function of its seed. Raises
        Stopped between rounds or before an update counts, with every finished round on the disk.
        """
        node, training = self._node, self._node.config.training
        with node.report.timed("sync", {}):
            self._sync()
        node.report.update(phase=Phase.TRAINING)
        held_out = node.environment.held_out() if training.evaluation.items else []
        self._measure(held_out, {})
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="rollouts") as beside:
            while self._progress.round < training.rounds:
                if node.stopping():
                    raise Stopped
                node.follow(configuration.read(self._place))
                self._play(beside)
                self._measure(held_out, {})
        with self._on_volume("the trained model"):
            export(node.learner.policy, self._base, self._place.trained_model, self._progress.round)

    def _play(self, beside: Executor) -> None:
        """One round, and with a staleness the rollouts of the next."""
        node, number = self._node, self._progress.round + 1
        model = to_hex(node.policy.digest)
        collected = self._ahead
        if collected is None:
            collected = collect(node, number, model, self._progress.means)
            self._admit(collected)
        asynchronous, last = node.config.training.asynchronous, node.config.training.rounds
        later, updated = None, Future[Weights]()
        switch = Switch(asynchronous.in_flight_after, updated.result) if asynchronous.in_flight_after else None
        if asynchronous.max_staleness and number < last:
            later = beside.submit(collect, node, number + 1, model, self._progress.means, switch)
        try:
            played = play(node, self._progress, collected)
            if later is not None and switch is not None:
                updated.set_result(node.weights())
        finally:
            updated.cancel()  # who waits for an update that failed
        self._progress = played.progress
        self._ahead = None
        if later is not None:
            with node.report.timed("wait", played.seconds), self._counting(syncs=int(switch is not None)):
                self._ahead = later.result()
            self._admit(self._ahead)
        self._show_samples()
        # The engines load while the round is written.
        syncing = beside.submit(self._sync) if later is None or switch is None else None
        self._write(played)
        if syncing is not None:
            with node.report.timed("sync", played.seconds):
                syncing.result()
        self._node.report.show_wait(played.seconds)
        self._log(played)
        with self._on_volume("the history"):
            history.append(self._place.history, played.report())

    def _admit(self, collected: Collected) -> None:
        """Counts rollouts as pending, and gives them to the others."""
        self._progress = replace(self._progress, samples=collected.counted(self._progress.samples))
        self._show_samples()
        publish(self._node, collected.batch)

    def _show_samples(self) -> None:
        self._node.report.samples.now = self._progress.samples

    def _write(self, played: Played) -> None:
        """Checkpoint, then record. From here on the round counts."""
        node, progress = self._node, self._progress
        with node.report.timed("checkpoint", played.seconds):
            tensors, randomness = snapshot.take(node.learner)
            state = {"progress": progress.to_json(), "random": randomness}
            with self._on_volume(f"round {progress.round}"):
                stored.save(self._place.stored_rounds, stored.stored_round(node, played), node.config.keep)
                files = {AHEAD: self._ahead.to_bytes()} if self._ahead else {}
                keep = node.config.keep
                directory = checkpoint.save(self._place.checkpoints, progress.round, tensors, state, files, keep)
                spool.append(self._place.spool, played.record)
        registry = node.report.registry
        registry.counter(names.ROUNDS).inc()
        registry.gauge(names.CHECKPOINT_BYTES).set(checkpoint.size(directory))
        node.report.show_update(played.update)
        node.report.show_tasks(played.own.tasks)
        node.report.update(checkpoint=str(directory))
        node.report.show(progress)

    @contextlib.contextmanager
    def _on_volume(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise VolumeFailed(
                f"{what} can't be written ({error}): make room on the Node's volume (raise storage.size or lower "
                "storage.keep); it goes on after its newest checkpoint, which is whole"
            ) from error

    def _sync(self) -> None:
        with self._counting(syncs=1):
            self._node.sync()

    @contextlib.contextmanager
    def _counting(self, syncs: int) -> Iterator[None]:
        """Counts what happens in it: transfers of weights that worked, and engines that differed after one."""
        pool, counter = self._node.pool, self._node.report.registry.counter(names.WEIGHT_SYNCS)
        before = pool.mismatches
        try:
            yield
            counter.labels("ok").inc(syncs)
        finally:
            counter.labels("mismatch").inc(pool.mismatches - before)

    def _measure(self, prompts: list[Prompt], seconds: dict[str, float]) -> None:
        """Measures where it is due after this round and not done yet: also what a crash left out."""
        node, number = self._node, self._progress.round
        training = node.config.training
        due = number % training.evaluation.every == 0 or number == training.rounds
        if prompts and due and (not self._measured or self._measured[-1].round < number):
            with node.report.timed("evaluate", seconds):
                result = measure(node, prompts, number)
            if result is not None:
                self._measured.append(result)
                with self._on_volume("the held-out measurements"):
                    heldout.write(self._place.held_out, self._measured)
                log.info("held-out", extra={**asdict(result), "seconds": seconds})
        node.report.show_held_out(heldout.report_of(self._measured))

    def _log(self, played: Played) -> None:
        update, record = played.update, played.record
        log.info(
            "round finished",
            extra={
                "round": record.round,
                "reward": record.reward / REWARD_SCALE,
                "loss": update.loss,
                "lossHex": update.loss.hex(),
                "gradNorm": round(update.grad_norm, 5),
                "learningRate": update.learning_rate,
                "mismatch": {origin: read.rounded() for origin, read in update.mismatch.items()},
                "staleness": played.staleness,
                "referenceKl": update.reference_kl,
                "filtered": update.filtered,
                "samples": record.samples,
                "tokens": record.tokens,
                "taken": played.progress.groups_taken,
                "model": record.model_after,
                "seconds": played.seconds,
            },
        )
