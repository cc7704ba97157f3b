"""What a round says of each task: rewards, their components, length, truncation."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from kubeswarm_workers.environments.contract import MAX_COMPONENTS, STRICT, Score
from kubeswarm_workers.episode import Episode


@dataclass
class Tally:
    """Sums over one task's completions; the means follow. Of a component only those that have it count."""

    count: int = 0
    reward: float = 0.0
    tokens: int = 0
    truncated: int = 0
    highest: float = 0.0
    components: dict[str, list[float]] = field(default_factory=dict)  # sum and count

    def add(self, scored: Iterable[tuple[Episode, Score]]) -> None:
        """Counts completions in."""
        for episode, score in scored:
            self.count += 1
            self.reward += score.reward
            self.highest = max(self.highest, score.reward)
            self.tokens += episode.sampled
            self.truncated += episode.truncated
            for name, value in score.components.items():
                # A round may name others than the one before: names are labels, and labels have a bound.
                if name in self.components or name == STRICT or len(self.components) < MAX_COMPONENTS:
                    total, count = self.components.get(name, (0.0, 0))
                    self.components[name] = [total + value, count + 1]

    def means(self) -> dict[str, float]:
        """Reward, tokens and truncated share, and the highest reward; none of an empty tally."""
        if not self.count:
            return {}
        sums = {"reward": self.reward, "tokens": self.tokens, "truncated": self.truncated}
        return {name: value / self.count for name, value in sums.items()} | {"highest": self.highest}

    def values(self) -> dict[str, float]:
        """All of it, for the history; a component that has the name of a mean is left out."""
        return self.component_means() | self.means()

    def component_means(self) -> dict[str, float]:
        """The mean of each component."""
        return {name: total / count for name, (total, count) in self.components.items()}

    def to_json(self) -> dict[str, Any]:
        """For a checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Tally":
        """The inverse of `to_json`."""
        return cls(**data)
