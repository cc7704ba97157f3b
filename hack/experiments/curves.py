"""Held-out curves over seeds: means, intervals, a table and a plot."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

#: Of Student's t at 97.5 %, by degrees of freedom.
QUANTILES = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


@dataclass(frozen=True)
class Point:
    """A measurement after `round`: one value a seed, of the reward or of the share answered exactly."""

    round: int
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def error(self) -> float:
        """Half the width of the 95 % interval of the mean over seeds; 0 of a single one."""
        count = len(self.values)
        return QUANTILES[count - 1] * statistics.stdev(self.values) / count**0.5 if count > 1 else 0.0


def curves(results: Sequence[dict[str, Any]], what: str) -> dict[str, list[Point]]:
    """By task, from the result.json of a run a seed; of several Nodes, which learn from each other, their mean."""
    seeds = [[node["heldOut"] for node in result["nodes"]] for result in results]
    first = seeds[0][0]
    return {
        task: [
            Point(
                measured["round"],
                tuple(statistics.fmean(points[at]["tasks"][task][what] for points in nodes) for nodes in seeds),
            )
            for at, measured in enumerate(first)
        ]
        for task in first[0]["tasks"]
    }


def compared(variants: dict[str, dict[str, list[Point]]]) -> dict[str, list[Point]]:
    """The curves of several variants in one: named after task and variant, as far as there are several."""
    several = len(next(iter(variants.values()))) > 1
    return {
        ", ".join([task] * (several or not label) + [label] * bool(label)): points
        for label, tasks in variants.items()
        for task, points in tasks.items()
    }


def table(found: dict[str, list[Point]]) -> str:
    """Markdown: a row a measurement, a column a curve."""
    names = list(found)
    lines = [f"| after round | {' | '.join(names)} |", f"|{'---|' * (len(names) + 1)}"]
    for at, point in enumerate(found[names[0]]):
        cells = [
            f"{each.mean:.3f} ± {each.error:.3f} ({', '.join(f'{value:.2f}' for value in each.values)})"
            if len(each.values) > 1
            else f"{each.mean:.3f}"  # of a single seed there is no interval
            for each in (found[name][at] for name in names)
        ]
        lines.append(f"| {point.round} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def plot(found: dict[str, list[Point]], label: str, path: Path) -> None:
    """A line a curve with its 95 % interval, and each seed thin behind it, as SVG."""
    plt.rcParams.update({"svg.hashsalt": "kubeswarm", "font.size": 9})
    figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
    for number, (name, points) in enumerate(found.items()):
        colour, rounds = f"C{number}", [point.round for point in points]
        for values in zip(*(point.values for point in points), strict=True):
            axes.plot(rounds, values, color=colour, linewidth=0.6, alpha=0.5)
        means, errors = [point.mean for point in points], [point.error for point in points]
        axes.errorbar(rounds, means, errors, color=colour, linewidth=1.8, capsize=3, label=name)
    axes.set(xlabel="round", ylabel=label, ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
