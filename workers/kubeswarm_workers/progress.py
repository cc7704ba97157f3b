"""What a Node has behind it: the part of a checkpoint that is neither tensors nor random state."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kubeswarm_api.records import NO_DIGEST, RoundRecord
from kubeswarm_workers.learn.foreign import Reading


@dataclass(frozen=True)
class Samples:
    """This Node's own completions since its first round: produced = trained + dropped + pending, at every instant."""

    produced: int = 0
    trained: int = 0
    external: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def pending(self) -> int:
        """Sampled, and neither learnt from nor dropped yet."""
        return self.produced - self.trained - sum(self.dropped.values())

    def learn(self, own: int, external: int, filtered: Mapping[str, Mapping[str, int]]) -> "Samples":
        """After an update that was given `own` and `external` completions and left some out, by origin and reason."""
        local, foreign = filtered.get("local", {}), filtered.get("external", {})
        samples = replace(
            self,
            trained=self.trained + own - sum(local.values()),
            external=self.external + external - sum(foreign.values()),
        )
        for reason, count in local.items():
            samples = samples.drop(reason, count)
        return samples

    def drop(self, reason: str, count: int) -> "Samples":
        """`count` fewer pending ones."""
        dropped = Counter(self.dropped)
        dropped[reason] += count
        return replace(self, dropped={key: value for key, value in dropped.items() if value})


@dataclass(frozen=True)
class Progress:
    """The state after a finished round."""

    round: int = 0
    record: RoundRecord | None = None
    model: str = NO_DIGEST
    samples: Samples = field(default_factory=Samples)
    tokens: int = 0
    groups_taken: int = 0
    foreign_dropped: dict[str, int] = field(default_factory=dict)
    reading: Reading = field(default_factory=Reading)
    means: dict[str, float] = field(default_factory=dict)  # by task, see `curriculum`

    def to_json(self) -> dict[str, Any]:
        """For a checkpoint's state."""
        return {
            "round": self.round,
            "record": self.record.to_json() if self.record else None,
            "model": self.model,
            "samples": vars(self.samples),
            "tokens": self.tokens,
            "groupsTaken": self.groups_taken,
            "foreignDropped": self.foreign_dropped,
            "cursor": self.reading.cursor,
            "pending": sorted([cursor, *indices] for cursor, indices in self.reading.pending.items()),
            "means": self.means,
            "seen": sorted([node, round] for node, round in self.reading.seen),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Progress":
        """The inverse of `to_json`."""
        return cls(
            round=data["round"],
            record=RoundRecord.model_validate(data["record"]) if data["record"] else None,
            model=data["model"],
            samples=Samples(**data["samples"]),
            tokens=data["tokens"],
            groups_taken=data["groupsTaken"],
            foreign_dropped=data["foreignDropped"],
            means=data["means"],
            reading=Reading(
                cursor=data["cursor"],
                pending={cursor: tuple(indices) for cursor, *indices in data["pending"]},
                seen=frozenset((node, round) for node, round in data["seen"]),
            ),
        )
