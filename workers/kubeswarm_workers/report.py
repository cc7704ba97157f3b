"""What the trainer says of itself over HTTP: /metrics, /status (a NodeReport as JSON), /healthz."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from kubeswarm_api import metrics as names
from kubeswarm_api.records import REWARD_SCALE
from kubeswarm_api.reports import HeldOutReport, NodeReport, Phase
from kubeswarm_workers import gaming
from kubeswarm_workers.environments.contract import FORMAT
from kubeswarm_workers.metrics import ProcessFiles, Registry
from kubeswarm_workers.ports import Exchange
from kubeswarm_workers.progress import Progress, Samples
from kubeswarm_workers.tally import Tally

if TYPE_CHECKING:  # torch stays out of the attestor and of what starts before its threads are bounded
    from kubeswarm_workers.learn.step import Update

log = logging.getLogger(__name__)
#: A connection over which nothing is asked for so long is closed: three times what the operator waits at the most.
IDLE_SECONDS = 60


class SampleCounters:
    """The counters of completions, all from one value, so that they add up at every scrape.

    Like every counter they count from the start of the process: what earlier ones did is taken off. What was pending
    at the start counts as produced again, so that produced = trained + dropped + pending holds of what is shown.
    """

    def __init__(self) -> None:
        self.before = Samples()
        self.now = Samples()

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """The families of produced, trained, dropped and pending."""
        before, now = self.before, self.now
        produced = CounterMetricFamily(names.SAMPLES_PRODUCED.name, names.SAMPLES_PRODUCED.help)
        produced.add_metric([], now.produced - before.produced + before.pending)
        trained = CounterMetricFamily(names.SAMPLES_TRAINED.name, names.SAMPLES_TRAINED.help, labels=["origin"])
        trained.add_metric(["local"], now.trained - before.trained)
        trained.add_metric(["external"], now.external - before.external)
        dropped = CounterMetricFamily(names.SAMPLES_DROPPED.name, names.SAMPLES_DROPPED.help, labels=["reason"])
        for reason, count in now.dropped.items():
            dropped.add_metric([reason], count - before.dropped.get(reason, 0))
        pending = GaugeMetricFamily(names.SAMPLES_PENDING.name, names.SAMPLES_PENDING.help)
        pending.add_metric([], now.pending)
        yield from (produced, trained, dropped, pending)


class Report:
    """The trainer's report and metrics; written by the round loop, read by the HTTP threads."""

    def __init__(self, rounds: int) -> None:
        self.registry = Registry()
        self.samples = SampleCounters()
        self.registry.collectors.register(self.samples)
        self.gaming = gaming.Watch()
        self._exchange: Exchange | None = None
        self._status = NodeReport(phase=Phase.STARTING, rounds=rounds)
        self.registry.gauge(names.TARGET_ROUNDS).set(rounds)

    @property
    def status(self) -> NodeReport:
        """The report as it is now."""
        suspected = dict(self.gaming.suspected)  # copied in one step: the round loop writes it
        now: dict[str, object] = {"gamed": {task: str(suspected[task]) for task in sorted(suspected)}}
        if self._exchange is not None:
            now["exchange_connected"] = self._exchange.connected
        return self._status.model_copy(update=now)

    def update(self, **fields: object) -> None:
        """Replaces fields of the report, in one step."""
        self._status = self._status.model_copy(update=fields)

    def show(self, progress: Progress) -> None:
        """Puts what a Node has behind it into the report."""
        self.registry.gauge(names.ROUND).set(progress.round)
        self.update(
            round=progress.round,
            reward=progress.record.reward / REWARD_SCALE if progress.record else None,
            samples=progress.samples.produced,
            tokens=progress.tokens,
            groups_taken=progress.groups_taken,
            dropped=progress.foreign_dropped,
            model=progress.model if progress.round else None,
        )

    def show_update(self, update: "Update") -> None:
        """Puts what the last update did into the metrics."""
        registry = self.registry
        registry.gauge(names.LOSS).set(update.loss)
        registry.gauge(names.GRAD_NORM).set(update.grad_norm)
        registry.gauge(names.LEARNING_RATE).set(update.learning_rate)
        if update.reference_kl is not None:
            registry.gauge(names.REFERENCE_KL).set(update.reference_kl)
        for origin, read in update.mismatch.items():
            registry.gauge(names.LOGPROB_GAP).labels(origin).set(read.gap)
            registry.gauge(names.EFFECTIVE_SAMPLES).labels(origin).set(read.effective)
            for estimator, value in (("k1", read.k1), ("k3", read.k3)):
                registry.gauge(names.MISMATCH_KL).labels(origin, estimator).set(value)
            for quantile, value in (("0.5", read.p50), ("0.99", read.p99), ("1", read.largest)):
                registry.gauge(names.MISMATCH_RATIO).labels(origin, quantile).set(value)
            for bound, value in (("clip", read.clipped), ("cap", read.capped), ("mask", read.masked)):
                registry.gauge(names.BOUNDED).labels(origin, bound).set(value)

    def show_wait(self, seconds: Mapping[str, float]) -> None:
        """Puts a round's wait for rollouts into the metrics; `seconds` by phase. Rollouts that were sampled beside an
        earlier update cost only what was waited for them."""
        waited = seconds["wait"] if "wait" in seconds else seconds.get("generate", 0.0) + seconds.get("score", 0.0)
        whole = waited + sum(seconds.get(phase, 0.0) for phase in ("exchange", "update", "checkpoint", "sync"))
        self.registry.gauge(names.ROLLOUT_WAIT).set(waited / whole if whole else 0.0)

    def show_tasks(self, tasks: Mapping[str, Tally]) -> None:
        """Puts a round's means by task into the metrics."""
        gauges = {"reward": names.REWARD, "tokens": names.COMPLETION_TOKENS, "truncated": names.TRUNCATED}
        for task, tally in tasks.items():
            means, components = tally.means(), tally.component_means()
            for name, metric in gauges.items():
                if name in means:
                    self.registry.gauge(metric).labels(task).set(means[name])
            for component, mean in components.items():
                self.registry.gauge(names.REWARD_COMPONENT).labels(task, component).set(mean)
            if FORMAT in components:
                self.registry.gauge(names.MALFORMED).labels(task).set(1.0 - components[FORMAT])
            self._watch_for_gaming(task, tally)

    def _watch_for_gaming(self, task: str, tally: Tally) -> None:
        means = gaming.means_of(tally.values())
        if means is None:
            return
        before = self.gaming.suspected.get(task)
        self.gaming.add(task, means)
        suspicion = self.gaming.suspected.get(task)
        self.registry.gauge(names.REWARD_GAMED).labels(task).set(float(suspicion is not None))
        if suspicion is not None and before is None:
            log.warning("reward rises without right answers", extra={"task": task, **asdict(suspicion)})
        elif before is not None and suspicion is None:
            log.info("reward and right answers rise together again", extra={"task": task})

    def show_held_out(self, held_out: HeldOutReport | None) -> None:
        """Puts the held-out measurements into the report."""
        self.update(held_out=held_out)
        if held_out is None:
            return
        for metric, value, error in (
            (names.HELD_OUT_REWARD, held_out.latest, held_out.latest_error),
            (names.HELD_OUT_EXACT, held_out.exact_latest, held_out.exact_latest_error),
        ):
            if value is not None:
                self.registry.gauge(metric).set(value)
                self.registry.gauge(names.HELD_OUT_ERROR).labels(metric.name.rpartition("_")[2]).set(error or 0.0)

    def environment_failed(self, reason: str) -> None:
        """Counts what an environment could not do; `reason` is one of `contract.FAILURES`."""
        self.registry.counter(names.ENVIRONMENT_FAILURES).labels(reason).inc()

    def waiting(self, message: str) -> None:
        """Says what is waited for ("" for nothing); logged when it changes."""
        if message != self._status.message:
            self.update(message=message)
            if message:
                log.info(message)

    @contextlib.contextmanager
    def timed(self, phase: str, seconds: dict[str, float]) -> Iterator[None]:
        """Measures a part of a round into the metrics and into `seconds`."""
        started = time.monotonic()
        try:
            yield
        finally:
            taken = time.monotonic() - started
            seconds[phase] = round(seconds.get(phase, 0.0) + taken, 3)
            self.registry.histogram(names.PHASE_SECONDS).labels(phase).observe(taken)

    def watch(self, exchange: Exchange) -> None:
        """Reports on the exchange from now on."""
        self._exchange = exchange
        self.registry.gauge(names.EXCHANGE_CONNECTED).set_function(lambda: float(exchange.connected))

    def add_engine_files(self, directory: Path) -> None:
        """Serves the metrics of this container's engines beside the trainer's."""
        self.registry.collectors.register(ProcessFiles(directory))  # pyright: ignore[reportArgumentType]


def serve(host: str, port: int, metrics: CollectorRegistry, report: Report | None = None) -> ThreadingHTTPServer:
    """Serves on `host` ("" for all interfaces), from a thread. Without a report there is no /status.

    Raises OSError if the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # who asks again and again, as the operator does, keeps its connection
        timeout = IDLE_SECONDS

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(metrics))
            elif self.path == "/status" and report is not None:
                self._answer(200, "application/json", report.status.model_dump_json(by_alias=True).encode())
            elif self.path == "/healthz":
                self._answer(200, "text/plain", b"ok\n")
            else:
                self._answer(404, "text/plain", b"not found\n")

        def _answer(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server
