"""One round of training, rollouts first, then the update and its record. Nothing is written here."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kubeswarm_api import metrics as names
from kubeswarm_api.encoding import to_hex
from kubeswarm_api.errors import InvalidBatch
from kubeswarm_api.records import NO_DIGEST, REWARD_SCALE, Digest, RoundRecord
from kubeswarm_api.rollouts import Group, RolloutBatch, SignedBatch
from kubeswarm_workers.gather import groups_of, requests_of
from kubeswarm_workers.learn import foreign
from kubeswarm_workers.learn.batch import rows_of
from kubeswarm_workers.learn.step import Update
from kubeswarm_workers.node import NO_ADDRESS, Node
from kubeswarm_workers.progress import Progress, Samples
from kubeswarm_workers.stopping import Stopped
from kubeswarm_workers.tally import Tally

log = logging.getLogger(__name__)

#: Stands for the chain in the records of a Node that has none; with it the registry is the zero address.
NO_CHAIN = 2**32 - 1


@dataclass(frozen=True)
class Collected:
    """A round's own rollouts: the batch, how many completions were sampled, what they say of each task, and seconds."""

    batch: RolloutBatch
    produced: int
    tasks: dict[str, Tally]
    seconds: dict[str, float]

    def counted(self, before: Samples) -> Samples:
        """The counters with these completions in them: pending, but for those that could not be scored."""
        samples = replace(before, produced=before.produced + self.produced)
        return samples.drop("score", self.produced - _completions(self.batch.groups))

    def to_bytes(self) -> bytes:
        """For a checkpoint; numbers keep their last bit."""
        tasks = {task: tally.to_json() for task, tally in self.tasks.items()}
        return json.dumps({"batch": self.batch.to_json(), "produced": self.produced, "tasks": tasks}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Collected":
        """The inverse of `to_bytes`, without the seconds."""
        read = json.loads(data)
        tasks = {task: Tally.from_json(tally) for task, tally in read["tasks"].items()}
        return cls(RolloutBatch.model_validate(read["batch"]), read["produced"], tasks, {})


@dataclass
class Played:
    """A round: the progress after it, its record, what it says of each task, what its update did, seconds by phase."""

    progress: Progress
    record: RoundRecord
    tasks: dict[str, Tally]
    update: Update
    seconds: dict[str, float]


def collect(node: Node, number: int, model: Digest) -> Collected:
    """Samples and scores the round `number` with the policy `model`, which the engines hold.

    May run beside an update: it touches nothing of the learner. Raises Stopped.
    """
    algorithm = node.config.training.algorithm
    seconds: dict[str, float] = {}
    with node.report.timed("generate", seconds):
        prompts = node.environment.draw(node.config.index, number, algorithm.prompts)
        requests = requests_of(node, prompts, algorithm.group_size, node.config.index, number)
        sampled = node.pool.generate(requests)
    node.report.registry.counter(names.TOKENS).inc(sum(len(each.tokens) for group in sampled for each in group))
    with node.report.timed("score", seconds):
        groups, tasks = groups_of(node, prompts, requests, sampled)
    batch = RolloutBatch(swarm_id=node.config.swarm_id, node_id=node.node_id, round=number, model=model, groups=groups)
    return Collected(batch, sum(map(len, sampled)), tasks, seconds)


def play(node: Node, before: Progress, collected: Collected) -> Played:
    """The round after `before` from its rollouts, which `before` has counted, up to and with its update.

    Raises Stopped before the update has begun, never after: then `before` still holds for model and optimiser.
    """
    batch, seconds = collected.batch, dict(collected.seconds)
    model_before = to_hex(node.model_digest())
    with node.report.timed("exchange", seconds):
        taken = _take(node, before.reading, batch.round)
    if node.stopping():
        raise Stopped

    with node.report.timed("update", seconds):
        rows = [*rows_of(batch.groups, "local"), *rows_of(taken.groups, "external")]
        update = node.learner.update(rows, batch.round)
        node.refresh_digests(changed_only=True)
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
    )
    return Played(progress, record, collected.tasks, update, seconds)


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
        max_tokens=training.rollout.max_tokens,
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
        model_after=to_hex(node.model_digest()),
        rollouts_root=to_hex(batch.root()),
        samples=len(completions),
        reward=round(REWARD_SCALE * mean),
        tokens=sum(len(each.tokens) for each in completions),
    )
