"""The operator's metrics, and the ages of its watches."""

import time

from prometheus_client import Counter, Gauge, Histogram

from kubeswarm_api import metrics
from kubeswarm_operator.resources import WATCHED


def _counter(metric: metrics.Metric) -> Counter:
    return Counter(metric.name.removesuffix("_total"), metric.help, metric.labels)


def _gauge(metric: metrics.Metric) -> Gauge:
    return Gauge(metric.name, metric.help, metric.labels)


RECONCILES = _counter(metrics.RECONCILES)
RECONCILE_SECONDS = Histogram(
    metrics.RECONCILE_SECONDS.name,
    metrics.RECONCILE_SECONDS.help,
    metrics.RECONCILE_SECONDS.labels,
    buckets=metrics.RECONCILE_SECONDS.buckets,
)
QUEUE_DEPTH = _gauge(metrics.QUEUE_DEPTH)
API_REQUESTS = _counter(metrics.API_REQUESTS)
WATCH_AGE = _gauge(metrics.WATCH_AGE)
LEADER = _gauge(metrics.LEADER)
SWARMS = _gauge(metrics.SWARMS)
NODES = _gauge(metrics.NODES)

_PLURALS = frozenset(resource.plural for resource in WATCHED)
_seen: dict[str, float] = {}


def watch_seen(plural: str) -> None:
    """Notes that a watch was opened again or brought an event."""
    if plural in _PLURALS:
        if plural not in _seen:
            WATCH_AGE.labels(plural).set_function(lambda: time.monotonic() - _seen[plural])
        _seen[plural] = time.monotonic()


def stale_watches(seconds: float) -> list[str]:
    """Resources whose watch was never opened or has been silent for longer than `seconds`."""
    now = time.monotonic()
    return sorted(plural for plural in _PLURALS if now - _seen.get(plural, float("-inf")) > seconds)
