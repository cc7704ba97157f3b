"""Computes the update of a finished round again, from what is on the Node's volume, and compares the models' digests.

It begins at the newest checkpoint before the round, or at the base model, and needs the stored rounds from there on.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kubeswarm_api import names
from kubeswarm_api.encoding import to_hex
from kubeswarm_api.errors import InvalidRecord
from kubeswarm_api.records import Digest, RoundRecord
from kubeswarm_api.stored import StoredRound, file_name
from kubeswarm_workers import stored
from kubeswarm_workers.learn import checkpoint, snapshot
from kubeswarm_workers.learn.model import resolve
from kubeswarm_workers.learn.start import new_learner
from kubeswarm_workers.learn.step import Learner
from kubeswarm_workers.round import learn
from kubeswarm_workers.weights import digests_of, policy_digest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Replayed:
    """One round: what its record says, and what came out. `problems` is empty where all of it agrees."""

    round: int
    model: Digest
    reached: Digest
    loss: float
    problems: tuple[str, ...]


def replay(data: Path, model: str, wanted: int) -> Iterator[Replayed]:
    """The rounds from the newest usable beginning up to `wanted`, until one differs.

    `data`: the directory of a Node's volume; `model`: the base model's directory, or its name on a hub. Raises
    InvalidRecord if what it needs is not there any more, InvalidConfig without the model.
    """
    folder, batches, base = data / names.CHECKPOINTS, data / names.STORED_ROUNDS, resolve(model)
    threads = stored.read(batches, wanted).threads
    begin = _newest_before(folder, wanted)
    after = begin.round if begin else 0
    _check_stored(batches, after, wanted)
    training = stored.read(batches, after + 1).training
    learner = new_learner(base, training, threads)
    if begin:
        snapshot.restore(learner, begin.tensors, begin.state["random"])
    for number in range(after + 1, wanted + 1):
        batch = stored.read(batches, number)
        if batch.threads != threads:
            raise InvalidRecord(f"round {number} ran with {batch.threads} threads, round {wanted} with {threads}")
        if batch.training != training:  # as the trainer does when it is started again with another spec
            state = snapshot.take(learner)
            training = batch.training
            learner = new_learner(base, training, threads)
            snapshot.restore(learner, *state)
        result = _replay_one(learner, batch, data / names.SPOOL)
        yield result
        if result.problems:
            return


def _newest_before(folder: Path, wanted: int) -> checkpoint.Checkpoint | None:
    for number in reversed([number for number in checkpoint.rounds(folder) if number < wanted]):
        try:
            return checkpoint.read(folder, number)
        except (OSError, ValueError, KeyError) as error:
            log.warning("checkpoint passed over", extra={"round": number, "cause": str(error)})
    return None


def _check_stored(batches: Path, after: int, wanted: int) -> None:
    for number in range(after + 1, wanted):
        if not (batches / file_name(number)).exists():
            raise InvalidRecord(
                f"round {wanted} can't be replayed: the newest checkpoint before it is that of round {after}, and what "
                f"round {number} learnt is gone: raise storage.keep.rollouts, or set storage.keep.checkpointEvery"
            )


def _replay_one(learner: Learner, batch: StoredRound, spool: Path) -> Replayed:
    record = batch.record
    problems: list[str] = []
    path = spool / f"{record.round:08d}.json"
    if not path.exists():
        problems.append(f"{path} is missing")
    elif RoundRecord.from_bytes(path.read_bytes()) != record:
        problems.append(f"the record in {path} is another one")
    if (root := to_hex(batch.published().root())) != record.rollouts_root:
        problems.append(f"the rollouts have the root {root}, the record {record.rollouts_root}")
    before = digest_of(learner)
    if before != record.model_before:
        problems.append(f"it began from the model {before}, the record from {record.model_before}")
    update = learn(learner, record.round, [each.group for each in batch.own], [each.group for each in batch.foreign])
    reached = digest_of(learner)
    if reached != record.model_after:
        problems.append(f"it reached the model {reached}, the record {record.model_after}")
    return Replayed(record.round, record.model_after, reached, update.loss, tuple(problems))


def digest_of(learner: Learner) -> Digest:
    """The digest of a learner's policy."""
    return to_hex(policy_digest(digests_of(learner.policy.packed(False))))
