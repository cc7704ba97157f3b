"""The stored rounds on a Node's volume: each written before its round counts, bounded in number and bytes."""

from collections.abc import Sequence
from pathlib import Path

import torch

from kubeswarm_api.errors import InvalidRecord
from kubeswarm_api.rollouts import Group
from kubeswarm_api.spec_training import Retention
from kubeswarm_api.stored import SUFFIX, StoredGroup, StoredRound, file_name
from kubeswarm_workers.durable import replace_file
from kubeswarm_workers.node import Node
from kubeswarm_workers.round import Played


def stored_round(node: Node, played: Played) -> StoredRound:
    """What a round's update consumed, with its text."""

    def stored(group: Group, node_id: str, round: int, components: Sequence[dict[str, float]] = ()) -> StoredGroup:
        return StoredGroup(
            group=group,
            prompt=node.text.decode(group.prompt_tokens),
            answers=[node.text.decode(each.tokens) for each in group.completions],
            components=list(components),
            node_id=node_id,
            round=round,
        )

    record, taken = played.record, played.taken
    return StoredRound(
        record=record,
        training=node.config.training,
        sampled_with=played.own.batch.model,
        switched_to=played.own.batch.switched_to,
        threads=torch.get_num_threads(),
        made_by={"torch": torch.__version__, "device": str(node.learner.policy.device)},
        own=[
            stored(group, record.node_id, record.round, components)
            for group, components in zip(played.own.batch.groups, played.own.components, strict=True)
        ],
        foreign=[stored(group, *source) for group, source in zip(taken.groups, taken.sources, strict=True)],
    )


def save(folder: Path, stored: StoredRound, keep: Retention) -> None:
    """Writes a round, whole or not at all, and removes what is over `keep`, the oldest first. Raises OSError."""
    if keep.rollouts == 0:
        return
    replace_file(folder / file_name(stored.record.round), stored.to_bytes())
    sizes = {path: path.stat().st_size for path in sorted(folder.glob(f"round-*{SUFFIX}"))}
    total = sum(sizes.values())
    for path in list(sizes)[:-1]:
        if len(sizes) <= keep.rollouts and total <= keep.rollouts_bytes:
            break
        path.unlink()
        total -= sizes.pop(path)


def read(folder: Path, round: int) -> StoredRound:
    """One round. Raises InvalidRecord if it is not there (any more), damaged, or another round's."""
    path = folder / file_name(round)
    try:
        stored = StoredRound.from_bytes(path.read_bytes())
    except OSError as error:
        raise InvalidRecord(f"round {round} is not stored: {path}: {error.strerror}") from error
    except InvalidRecord as error:
        raise InvalidRecord(f"{path}: {error}") from error
    if stored.record.round != round:
        raise InvalidRecord(f"{path} holds round {stored.record.round}")
    return stored
