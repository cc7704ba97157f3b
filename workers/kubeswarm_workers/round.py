"""One round of training, rollouts first, then the update and its record. Nothing is written here."""

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from kubeswarm_api import metrics as names
from kubeswarm_api.encoding import to_hex
from kubeswarm_api.errors import InvalidBatch
from kubeswarm_api.records import NO_DIGEST, REWARD_SCALE, Digest, RoundRecord
from kubeswarm_api.reports import RoundReport
from kubeswarm_api.rollouts import Group, RolloutBatch, SignedBatch
from kubeswarm_workers import curriculum
from kubeswarm_workers.gather import groups_of, requests_of
from kubeswarm_workers.learn import foreign
from kubeswarm_workers.learn.batch import rows_of
from kubeswarm_workers.learn.step import Learner, Update
from kubeswarm_workers.node import NO_ADDRESS, Node
from kubeswarm_workers.progress import Progress, Samples
from kubeswarm_workers.rollout.pool import Switch
from kubeswarm_workers.stopping import Stopped
from kubeswarm_workers.tally import Tally
from kubeswarm_workers.turns import play as play_episodes
from kubeswarm_workers.weights import Snapshot

log = logging.getLogger(__name__)

#: Stands for the chain in the records of a Node that has none; with it the registry is the zero address.
NO_CHAIN = 2**32 - 1


@dataclass(frozen=True)
class Collected:
    """A round's own rollouts: the batch, how many completions were sampled, what they say of each task, seconds by
    phase, and the components of each completion's reward, in the batch's order."""

    batch: RolloutBatch
    produced: int
    tasks: dict[str, Tally]
    seconds: dict[str, float]
    components: list[list[dict[str, float]]]

    def counted(self, before: Samples) -> Samples:
        """The counters with these completions in them: pending, but for those that could not be scored."""
        samples = replace(before, produced=before.produced + self.produced)
        return samples.drop("score", self.produced - _completions(self.batch.groups))

    def to_bytes(self) -> bytes:
        """For a checkpoint; numbers keep their last bit."""
        tasks = {task: tally.to_json() for task, tally in self.tasks.items()}
        content = {"batch": self.batch.to_json(), "produced": self.produced, "tasks": tasks}
        return json.dumps(content | {"components": self.components}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Collected":
        """The inverse of `to_bytes`, without the seconds."""
        read = json.loads(data)
        tasks = {task: Tally.from_json(tally) for task, tally in read["tasks"].items()}
        return cls(RolloutBatch.model_validate(read["batch"]), read["produced"], tasks, {}, read["components"])


@dataclass
class Played:
    """A round: the progress after it, its record, its own rollouts, what its update did, seconds by phase, and the
    groups of other Nodes that it learnt from."""

    progress: Progress
    record: RoundRecord
    own: Collected
    update: Update
    seconds: dict[str, float]
    taken: foreign.Taken

    @property
    def staleness(self) -> float:
        """Updates that the policy which sampled a token of the own rollouts was behind the one that learnt from it, in
        the mean: 0, 1, or between where the policy changed in flight."""
        batch = self.own.batch
        if batch.model == self.record.model_before:
            return 0.0
        completions = [each for group in batch.groups for each in group.completions]
        behind = sum(sum(each.sampled[: each.switched_at]) for each in completions)
        return behind / sum(sum(each.sampled) for each in completions) if completions else 1.0

    def report(self) -> RoundReport:
        """For the history, when the round has ended."""
        record, update = self.record, self.update
        meters = {"loss": update.loss, "gradNorm": update.grad_norm, "learningRate": update.learning_rate}
        meters["staleness"] = self.staleness
        for origin, reading in update.mismatch.items():
            meters |= {f"mismatch.{origin}.{name}": value for name, value in reading.rounded().items()}
        for origin, reasons in update.filtered.items():
            meters |= {f"filtered.{origin}.{reason}": float(count) for reason, count in reasons.items()}
        if update.reference_kl is not None:
            meters["referenceKl"] = update.reference_kl
        return RoundReport(
            round=record.round,
            reward=record.reward / REWARD_SCALE,
            tasks={task: tally.values() for task, tally in self.own.tasks.items()},
            samples=record.samples,
            tokens=record.tokens,
            taken=len(self.taken.groups),
            loss_hex=update.loss.hex(),
            meters=meters,
            model=record.model_after,
            seconds=self.seconds,
            finished=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )


def collect(
    node: Node, number: int, model: Digest, means: Mapping[str, float], switch: Switch | None = None
) -> Collected:
    """Samples and scores the round `number` with the policy `model`, which the engines hold, and with a `switch` with
    that of the update beside it.

    `means`: by task, for the curriculum. May run beside an update: it touches nothing of the learner. Raises Stopped.
    """
    algorithm = node.config.training.algorithm
    seconds: dict[str, float] = {}
    with node.report.timed("generate", seconds):
        prompts = node.environment.draw(node.config.index, number, algorithm.prompts, _emphasis(node, means))
        requests = requests_of(node, prompts, algorithm.group_size, node.config.index, number)
        sampled = play_episodes(node, prompts, requests, switch)
    node.report.registry.counter(names.TOKENS).inc(sum(each.sampled for group in sampled for each in group))
    with node.report.timed("score", seconds):
        groups, tasks, components = groups_of(node, prompts, requests, sampled)
    switched = any(each.switched_at is not None for group in groups for each in group.completions)
    batch = RolloutBatch(
        swarm_id=node.config.swarm_id,
        node_id=node.node_id,
        round=number,
        model=model,
        switched_to=to_hex(switch.weights().digest) if switch and switched else None,
        groups=groups,
    )
    return Collected(batch, sum(map(len, sampled)), tasks, seconds, components)


def _emphasis(node: Node, means: Mapping[str, float]) -> dict[str, float]:
    wanted = node.config.training.environment.curriculum
    if wanted is None:
        return {}
    factors = curriculum.emphasis(means, wanted.floor)
    for task, factor in factors.items():
        node.report.registry.gauge(names.TASK_EMPHASIS).labels(task).set(factor)
    return factors


def play(node: Node, before: Progress, collected: Collected) -> Played:
    """The round after `before` from its rollouts, which `before` has counted, up to and with its update.

    Raises Stopped before the update has begun, never after: then `before` still holds for model and optimiser.
    """
    batch, seconds = collected.batch, dict(collected.seconds)
    model_before = to_hex(node.policy.digest)
    with node.report.timed("exchange", seconds):
        taken = _take(node, before.reading, batch.round)
    if node.stopping():
        raise Stopped

    with node.report.timed("update", seconds):
        update = learn(node.learner, batch.round, batch.groups, taken.groups)
        node.policy = Snapshot(node.learner.policy.packed, node.policy)
    own, external = _completions(batch.groups), _completions(taken.groups)
    samples = before.samples.learn(own, external, update.filtered)
    record = _record(node, before.record, batch, model_before)
    progress = replace(
        before,
        round=batch.round,
        record=record,
        model=record.model_after,
        samples=samples,
        tokens=before.tokens + record.tokens,
        groups_taken=before.groups_taken + len(taken.groups),
        foreign_dropped=dict(Counter(before.foreign_dropped) + taken.dropped),
        reading=taken.reading,
        means=curriculum.measured(before.means, collected.tasks),
    )
    return Played(progress, record, collected, update, seconds, taken)


def learn(learner: Learner, number: int, own: Sequence[Group], external: Sequence[Group]) -> Update:
    """The update of a round: all that decides it is in its arguments, so that it can be computed again."""
    return learner.update([*rows_of(own, "local"), *rows_of(external, "external")], number)


def _completions(groups: Sequence[Group]) -> int:
    return sum(len(group.completions) for group in groups)


def publish(node: Node, batch: RolloutBatch) -> None:
    """Signs and hands over the batch, best effort: a round never waits for the exchange."""
    if node.exchange is None or node.notary is None:
        return
    try:
        node.exchange.publish(SignedBatch(batch=batch, signature=node.notary.sign(batch.round, batch.root())))
        node.report.registry.counter(names.BATCHES_PUBLISHED).inc()
    except (OSError, InvalidBatch) as error:
        log.warning("batch not published", extra={"round": batch.round, "cause": str(error)})


def _take(node: Node, before: foreign.Reading, number: int) -> foreign.Taken:
    """Foreign groups for this round."""
    sharing, training = node.config.training.sharing, node.config.training
    if node.exchange is None or sharing.external == 0:
        return foreign.Taken(before)
    arrived = node.exchange.received(before.after)
    refused = Counter(node.exchange.dropped)
    rules = foreign.Rules(
        node_id=node.node_id,
        swarm_id=node.config.swarm_id,
        round=number,
        max_age=sharing.max_age_rounds,
        limit=sharing.external,
        group_size=training.algorithm.group_size,
        rollout=training.rollout,
        vocabulary=node.learner.policy.vocabulary,
    )
    batches = [(cursor, signed.batch) for cursor, signed in arrived]
    taken = foreign.take(batches, before, rules, node.environment, node.text)
    newly = refused - node.refused
    node.refused = refused
    taken.dropped.update(newly)
    registry = node.report.registry
    registry.counter(names.GROUPS_RECEIVED).inc(taken.received + newly.total())
    registry.counter(names.GROUPS_TAKEN).inc(len(taken.groups))
    for reason, count in taken.dropped.items():
        registry.counter(names.GROUPS_DROPPED).labels(reason).inc(count)
    return taken


def _record(node: Node, previous: RoundRecord | None, batch: RolloutBatch, model_before: Digest) -> RoundRecord:
    chain = node.config.chain
    completions = [each for group in batch.groups for each in group.completions]
    mean = sum(each.reward for each in completions) / len(completions) if completions else 0.0
    return RoundRecord(
        chain_id=chain.chain_id if chain else NO_CHAIN,
        registry=chain.node_registry if chain else NO_ADDRESS,
        swarm_id=batch.swarm_id,
        node_id=batch.node_id,
        round=batch.round,
        previous=to_hex(previous.digest()) if previous else NO_DIGEST,
        config=to_hex(node.config.config_digest()),
        model_before=model_before,
        model_after=to_hex(node.policy.digest),
        rollouts_root=to_hex(batch.root()),
        samples=len(completions),
        reward=round(REWARD_SCALE * mean),
        tokens=sum(sum(each.sampled) for each in completions),
    )
