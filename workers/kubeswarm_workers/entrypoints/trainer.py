"""The head's main container: Ray's head, the learner, the round loop, /metrics and /status.

Exit codes: 0 after SIGTERM, 1 after a failure (the container is started again and goes on after its last round).
"""

import gc
import logging
import os
import signal
import sys
import threading
from contextlib import ExitStack
from types import FrameType

from kubeswarm_workers.cpus import limit_threads

THREADS = limit_threads()  # before anything imports torch

from kubeswarm_api import names  # noqa: E402
from kubeswarm_api.node_config import NodeConfig  # noqa: E402
from kubeswarm_api.reports import Phase  # noqa: E402
from kubeswarm_workers import config as configuration  # noqa: E402
from kubeswarm_workers import logs  # noqa: E402
from kubeswarm_workers.place import Place  # noqa: E402
from kubeswarm_workers.report import Report, serve  # noqa: E402
from kubeswarm_workers.rollout import cluster  # noqa: E402
from kubeswarm_workers.stopping import Stopped  # noqa: E402

log = logging.getLogger("kubeswarm_workers.trainer")


def main() -> int:
    """Runs until SIGTERM."""
    logs.configure()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: _on_signal(stop, number, frame))
    signal.signal(signal.SIGINT, lambda number, frame: _on_signal(stop, number, frame))
    place = Place.from_env()
    try:
        config = configuration.read(place)
        report = Report(config.training.rounds)
        serve(place.host, place.port(names.TRAINER_PORT), report.registry.collectors, report)
        return run(config, place, report, stop)
    except Exception as error:  # the last door: everything ends in the log with its cause
        log.exception("trainer failed", extra={"cause": f"{type(error).__name__}: {error}"})
        return 1


def _on_signal(stop: threading.Event, number: int, frame: FrameType | None) -> None:
    log.info("stopping", extra={"signal": signal.Signals(number).name})
    stop.set()


def run(config: NodeConfig, place: Place, report: Report, stop: threading.Event) -> int:
    """Trains what is missing, leaves the model, and stays to answer /status."""
    cluster.use_token(place)  # before anything imports ray
    from kubeswarm_workers.assemble import assemble, finished
    from kubeswarm_workers.learn.step import NotFinite

    if not finished(config, place, report):
        try:
            with ExitStack() as stack:
                assemble(config, place, report, stop.is_set, THREADS, stack).train()
        except Stopped:
            report.update(phase=Phase.STOPPING)
            log.info("stopped; the round in flight is dropped", extra={"round": report.status.round})
            return 0
        except NotFinite as error:
            report.update(phase=Phase.FAILED, message=str(error))
            log.error("training failed; waiting for another spec", extra={"cause": str(error)})
            stop.wait()  # the same batch would give the same again
            return 0
    report.update(phase=Phase.COMPLETE, message="")
    log.info("training complete", extra={"round": report.status.round, "model": str(place.trained_model)})
    gc.collect()
    stop.wait()
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # libraries' threads and exit handlers could hold up the end
