"""A real NATS server, configured by the operator's own functions."""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster.binaries import ensure_programs
from hack.cluster.layout import cache_folder
from kubeswarm_operator.exchange import Keyring, nats_conf, new_keyring
from kubeswarm_operator.exchange.server import STORE_BYTES_VARIABLE


class Server:
    """A NATS server on free ports, which can be stopped and started again with what it has stored."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program, self._folder = program, folder
        self.process: subprocess.Popen[bytes] | None = None
        self.keyring: Keyring = new_keyring()
        self.port, self.monitoring_port = _free_port(), _free_port()
        self.url = f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        conf = self._folder / "nats.conf"
        conf.write_text(nats_conf(self.keyring, str(self._folder / "data"), self.port, self.monitoring_port))
        environment = {**os.environ, STORE_BYTES_VARIABLE: str(1 << 30)}
        with (self._folder / "nats.log").open("ab") as log:
            self.process = subprocess.Popen([self._program, "-c", conf], env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.monitoring_port}/healthz", timeout=1):
                    return
            except (urllib.error.URLError, OSError):
                assert self.process.poll() is None, (self._folder / "nats.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def stop(self, kill: bool = False) -> None:
        if self.process is not None:
            self.process.kill() if kill else self.process.terminate()
            self.process.wait(20)
            self.process = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def nats_program() -> Path:
    return ensure_programs(cache_folder(), ("nats-server",))["nats-server"]


@pytest.fixture
def server(nats_program: Path, tmp_path: Path) -> Iterator[Server]:
    server = Server(nats_program, tmp_path)
    server.start()
    try:
        yield server
    finally:
        server.stop()
