"""Prometheus metrics of `kubeswarm_api.metrics`, made once a process.

Engines live in processes that Ray starts; they write their metrics into files of PROMETHEUS_MULTIPROC_DIR, and the
process which serves HTTP in that container collects them.
"""

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from kubeswarm_api.metrics import Metric

DIRECTORY_ENV = "PROMETHEUS_MULTIPROC_DIR"


class Registry:
    """The metrics of this process, by their table entry."""

    def __init__(self) -> None:
        self.collectors = CollectorRegistry()
        self._made: dict[str, Counter | Gauge | Histogram] = {}

    def counter(self, metric: Metric) -> Counter:
        """The counter of that name."""
        made = self._made.get(metric.name)
        if made is None:
            made = self._made[metric.name] = Counter(metric.name, metric.help, metric.labels, registry=self.collectors)
        assert isinstance(made, Counter)
        return made

    def gauge(self, metric: Metric) -> Gauge:
        """The gauge of that name; over several processes it is the sum of those alive."""
        made = self._made.get(metric.name)
        if made is None:
            made = self._made[metric.name] = Gauge(
                metric.name, metric.help, metric.labels, registry=self.collectors, multiprocess_mode="livesum"
            )
        assert isinstance(made, Gauge)
        return made

    def histogram(self, metric: Metric) -> Histogram:
        """The histogram of that name."""
        made = self._made.get(metric.name)
        if made is None:
            made = self._made[metric.name] = Histogram(
                metric.name, metric.help, metric.labels, registry=self.collectors, buckets=metric.buckets
            )
        assert isinstance(made, Histogram)
        return made


class ProcessFiles:
    """A collector of what other processes of this container wrote into `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._collector = MultiProcessCollector(None, path=str(directory))

    def collect(self):
        """The metrics of all processes; gauges of those that are gone are left out."""
        for path in self._directory.glob("gauge_live*_*.db"):
            process = int(path.stem.rpartition("_")[2])
            try:
                os.kill(process, 0)
            except ProcessLookupError:
                mark_process_dead(process, str(self._directory))
        return self._collector.collect()
