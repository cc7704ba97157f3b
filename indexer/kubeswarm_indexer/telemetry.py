"""The indexer's metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from kubeswarm_api import metrics
from kubeswarm_api.run_log import Head


class Telemetry:
    """The metrics of one indexer."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._head = self._gauge(metrics.INDEXER_HEAD)
        self._lag = self._gauge(metrics.INDEXER_LAG)
        self._facts = self._counter(metrics.INDEXER_FACTS)
        self._reorganisations = self._counter(metrics.INDEXER_REORGANISATIONS)
        self._depth = self._gauge(metrics.INDEXER_REORGANISATION_DEPTH)
        self._failures = self._counter(metrics.INDEXER_FAILURES)
        self._requests = Histogram(
            metrics.INDEXER_REQUEST_SECONDS.name,
            metrics.INDEXER_REQUEST_SECONDS.help,
            metrics.INDEXER_REQUEST_SECONDS.labels,
            buckets=metrics.INDEXER_REQUEST_SECONDS.buckets,
            registry=self._registry,
        )

    def _gauge(self, metric: metrics.Metric) -> Gauge:
        return Gauge(metric.name, metric.help, metric.labels, registry=self._registry)

    def _counter(self, metric: metrics.Metric) -> Counter:
        return Counter(metric.name, metric.help, metric.labels, registry=self._registry)

    def at(self, head: Head | None, latest: int) -> None:
        """Where the log and the chain are."""
        number = head.number if head else -1
        self._head.set(number)
        self._lag.set(max(0, latest - number))

    def brought(self, facts: int) -> None:
        """A step was written."""
        self._facts.inc(facts)

    def reorganised(self, depth: int) -> None:
        """The log went back so many blocks."""
        self._reorganisations.inc()
        self._depth.set(depth)

    def failed(self, reason: str) -> None:
        """A look at the chain, or a write, failed."""
        self._failures.labels(reason).inc()

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request was answered. `route`: its pattern, so that ids make no series."""
        self._requests.labels(route, str(status)).observe(seconds)

    def page(self) -> bytes:
        """For Prometheus."""
        return generate_latest(self._registry)
