"""How a model came about, rebuilt from the records and stored rounds of its Nodes and from what is attested."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import Field

from kubeswarm_api.attribution import Contribution, contributions
from kubeswarm_api.base import Model
from kubeswarm_api.encoding import to_hex
from kubeswarm_api.records import Address, Digest, RoundRecord, records_root
from kubeswarm_api.run_log import Rounds
from kubeswarm_api.stored import StoredRound
from kubeswarm_cli.errors import CommandError
from kubeswarm_cli.local.volume import Volume
from kubeswarm_contracts.chain import AttestedRounds, Chain
from kubeswarm_contracts.run_log import RunLog


class Learnt(Contribution):
    """What one round of one Node gave to an update.

    `proven`: whether these are the very rollouts that the Node's record of that round names; None where that Node's
    volume is not at hand.
    """

    proven: bool | None


class Update(Model):
    """One update: a round of the Node whose model it is."""

    round: int
    record: Digest
    model_before: Digest
    model_after: Digest
    attestation: Digest | None = Field(description="None: not on the chain, or the chain was not read.")
    contributions: list[Learnt] | None = Field(description="None: what the update learnt is not stored any more.")


class Contributor(Model):
    """One Node, over all updates that are known."""

    node_id: Address
    updates: int
    groups: int
    completions: int
    tokens: int
    weight: float = Field(description="Mean of its weights in the updates that are known.")


class Lineage(Model):
    """How a model came about."""

    format: Literal["kubeswarm.dev/lineage/1"] = "kubeswarm.dev/lineage/1"
    model: Digest
    base: Digest = Field(description="Digest of the model before the first update.")
    swarm_id: Digest
    node_id: Address
    chain_id: int
    chain_read: bool
    attested_rounds: int
    known_updates: int = Field(description="Updates whose rollouts are stored.")
    updates: list[Update]
    contributors: list[Contributor] = Field(description="The one that weighs most comes first.")


def build(model: Digest, volumes: Sequence[Volume], source: Chain | RunLog | None) -> Lineage:
    """The lineage of a model of one of these Nodes; `source`: where attestations are read.

    Raises CommandError if no record names the model, or if records are not what was attested.
    """
    histories = [(volume, volume.records()) for volume in volumes]
    volume, records = _ending_with(model, histories)
    first = records[0] if records else next(r[0] for v, r in histories if v is volume)
    attested = [] if source is None else _attested(source, first)
    for before, after in itertools.pairwise(records):
        if before.model_after != after.model_before:
            raise CommandError(f"{volume.node}: round {after.round} does not begin with the model of the round before")
    uids = _checked(volume, records, next(r for v, r in histories if v is volume), attested)
    published = _Published(histories)
    updates = [_update(record, uids.get(record.round), _stored(volume, record), published) for record in records]
    return Lineage(
        model=model,
        base=first.model_before,
        swarm_id=first.swarm_id,
        node_id=first.node_id,
        chain_id=first.chain_id,
        chain_read=source is not None,
        attested_rounds=len(uids),
        known_updates=sum(update.contributions is not None for update in updates),
        updates=updates,
        contributors=_contributors(updates),
    )


def from_log(log: RunLog, model: Digest) -> list[Rounds]:
    """The attestations of the Node that ended with this model, up to that one. Raises CommandError if there is none."""
    ends = log.rounds(model=model)
    if not ends:
        raise CommandError(f"no attestation ends with the model {model}: with its run's records every round is found")
    end = ends[0]
    return [each for each in log.rounds(end.swarm_id, end.node_id) if each.last_round <= end.last_round]


def _ending_with(model: Digest, histories: list[tuple[Volume, list[RoundRecord]]]) -> tuple[Volume, list[RoundRecord]]:
    """The Node that made the model, and its records up to it; none of them for a base model."""
    for volume, records in histories:
        for record in records:
            if record.model_after == model:
                return volume, records[: record.round]
    for volume, records in histories:
        if records[0].model_before == model:
            return volume, []
    known = ", ".join(volume.node for volume, _ in histories)
    raise CommandError(f"no record of {known} names the model {model}: `kubeswarm status`, result.json have digests")


def _attested(source: Chain | RunLog, first: RoundRecord) -> list[tuple[Digest, int, int, Digest]]:
    """Of the Node: (uid, first round, last round, root)."""
    if isinstance(source, Chain):
        found: list[AttestedRounds] = source.attestations(first.swarm_id, node_id=first.node_id)
        return [(each.uid, each.first, each.last, each.root) for each in found]
    log = source.rounds(first.swarm_id, first.node_id)
    return [(each.uid, each.first_round, each.last_round, each.records_root) for each in log]


def _checked(
    volume: Volume,
    wanted: list[RoundRecord],
    records: list[RoundRecord],
    attested: list[tuple[Digest, int, int, Digest]],
) -> dict[int, Digest]:
    """The attestation of each wanted round. Raises CommandError where the records are not those that it holds."""
    uids: dict[int, Digest] = {}
    for uid, first, last, root in attested:
        if first > len(wanted):
            break
        held = records[first - 1 : last]
        if len(held) != last - first + 1 or to_hex(records_root(held)) != root:
            raise CommandError(
                f"{volume.node}: attestation {uid} holds other records of rounds {first} to {last} than this volume"
            )
        uids |= dict.fromkeys(range(first, min(last, len(wanted)) + 1), uid)
    return uids


def _stored(volume: Volume, record: RoundRecord) -> StoredRound | None:
    if record.round not in volume.rounds:
        return None
    stored = volume.read(record.round)
    if stored.record != record:
        raise CommandError(f"{volume.node}: what is stored of round {record.round} belongs to another record")
    return stored


def _update(record: RoundRecord, uid: Digest | None, stored: StoredRound | None, published: "_Published") -> Update:
    learnt = None
    if stored is not None:
        learnt = [
            Learnt(**each.model_dump(), proven=published.holds(stored, each.node_id, each.round))
            for each in contributions(stored)
        ]
    return Update(
        round=record.round,
        record=to_hex(record.digest()),
        model_before=record.model_before,
        model_after=record.model_after,
        attestation=uid,
        contributions=learnt,
    )


class _Published:
    """The rollouts that Nodes published, as far as their volumes are at hand and hold what their records name."""

    def __init__(self, histories: Iterable[tuple[Volume, list[RoundRecord]]]) -> None:
        self._histories = {records[0].node_id: (volume, records) for volume, records in histories}

    def holds(self, learnt: StoredRound, node_id: Address, round: int) -> bool | None:
        """Whether what an update took of a Node's round is what that Node's record of it binds."""
        if node_id not in self._histories:
            return None
        volume, records = self._histories[node_id]
        if round > len(records) or (sampled := _stored(volume, records[round - 1])) is None:
            return None
        batch = sampled.published()
        if to_hex(batch.root()) != records[round - 1].rollouts_root:
            return False
        taken = [
            each.group for each in (*learnt.own, *learnt.foreign) if (each.node_id, each.round) == (node_id, round)
        ]
        return set(batch.model_copy(update={"groups": taken}).leaves()) <= set(batch.leaves())


def _contributors(updates: list[Update]) -> list[Contributor]:
    known = [update.contributions for update in updates if update.contributions is not None]
    nodes = {each.node_id for learnt in known for each in learnt}
    made: list[Contributor] = []
    for node_id in nodes:
        own = [[each for each in learnt if each.node_id == node_id] for learnt in known]
        flat = [each for learnt in own for each in learnt]
        made.append(
            Contributor(
                node_id=node_id,
                updates=sum(bool(learnt) for learnt in own),
                groups=sum(each.groups for each in flat),
                completions=sum(each.completions for each in flat),
                tokens=sum(each.tokens for each in flat),
                weight=sum(each.weight for each in flat) / len(known),
            )
        )
    return sorted(made, key=lambda each: (-each.weight, each.node_id))
