"""A port of a Service, reached from this machine for a while."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

from hack.console import Problem
from hack.demo.target import Target

PATIENCE_SECONDS = 20.0


@contextmanager
def forwarded(target: Target, namespace: str, service: str, port: int) -> Iterator[str]:
    """Gives http://127.0.0.1:<a free port> that leads to the Service's `port`. Raises Problem where nothing answers."""
    words = [str(target.kubectl), f"--kubeconfig={target.kubeconfig}", "--namespace", namespace, "port-forward"]
    words += ["--address=127.0.0.1", f"service/{service}", f":{port}"]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", first)
        if found is None:
            raise Problem(f"service/{service} in {namespace} can't be reached: {first.strip()}")
        yield f"http://127.0.0.1:{found.group(1)}"
    finally:
        process.terminate()
        end = monotonic() + PATIENCE_SECONDS
        while process.poll() is None and monotonic() < end:
            sleep(0.05)
        process.kill()
        process.wait()
