"""A rollout pod: a Ray worker that offers one engine to its Node's head, and /metrics.

The trainer starts the engine here as an actor. The process ends when the head is gone for good; Kubernetes starts it
again, and it joins the head that is there then.
"""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading

from prometheus_client import CollectorRegistry

from kubeswarm_api import names
from kubeswarm_workers import config as configuration
from kubeswarm_workers import logs
from kubeswarm_workers.cpus import limit_threads
from kubeswarm_workers.metrics import ProcessFiles
from kubeswarm_workers.place import Place
from kubeswarm_workers.report import serve
from kubeswarm_workers.rollout import cluster

log = logging.getLogger("kubeswarm_workers.rollout")

POLL_SECONDS = 2.0


def main() -> int:
    """Runs until SIGTERM (0), or until Ray ends because the head did (1)."""
    logs.configure()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    place = Place.from_env()
    config = configuration.read(place)
    head = os.environ.get(names.HEAD_ENV) or f"{names.head_name(config.name)}:{place.port(names.RAY_PORT)}"
    limit_threads()
    cluster.use_token(place)
    registry = CollectorRegistry()
    serve(place.host, place.port(names.ROLLOUT_PORT), registry)
    if not wait_for(head, stop):
        return 0
    ray_processes = cluster.start(place, head=head, engines=1)
    registry.register(ProcessFiles(ray_processes.metrics))  # pyright: ignore[reportArgumentType]
    log.info("joined", extra={"head": ray_processes.address})
    while not stop.is_set():
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = ray_processes.process.wait(POLL_SECONDS)
            log.error("the head is gone; ending, to be started again", extra={"code": code})
            ray_processes.stop()
            return 1
    log.info("stopping")
    ray_processes.stop()
    return 0


def wait_for(head: str, stop: threading.Event) -> bool:
    """Waits until the head (host:port) listens, however long that takes; False if told to stop first."""
    host, _, port = head.rpartition(":")
    waiting = False
    while not stop.wait(0 if not waiting else POLL_SECONDS):
        try:
            socket.create_connection((host, int(port)), timeout=POLL_SECONDS).close()
            return True
        except OSError as error:
            if not waiting:
                log.info("waiting for the head", extra={"head": head, "cause": str(error)})
            waiting = True
    return False


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
