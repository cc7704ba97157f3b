"""The indexer as a process, on a chain with a history."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from kubeswarm_contracts import Account
from kubeswarm_contracts.deploy import DEVELOPMENT_KEY, deploy
from tests.chain.conftest import Anvil
from tests.chain.run_log.history import History


class Indexer:
    """`python -m kubeswarm_indexer` on a free port."""

    def __init__(self, chain_url: str, database: str, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        arguments = ["--chain-url", chain_url, "--host", "127.0.0.1", "--port", str(self.port), "--poll-seconds", "0.2"]
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kubeswarm_indexer", *arguments],
                env={**os.environ, "KUBESWARM_DATABASE_URL": database},
                stdout=out,
                stderr=out,
            )

    def get(self, path: str, **query: str | int) -> httpx.Response:
        return httpx.get(self.url + path, params=query, timeout=30)

    def until(self, done: Callable[[], bool], what: str) -> None:
        """Waits until `done`, with the end of the log in the error."""
        end = time.monotonic() + 240
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            try:
                if done():
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise TimeoutError(f"{what}: {self.log.read_text()[-3000:]}")

    def ready(self) -> "Indexer":
        self.until(lambda: self.get("/readyz").status_code == 200, "not ready")
        return self

    def reach(self, block: int) -> "Indexer":
        self.until(lambda: ((self.get("/v1/log").json()["head"] or {}).get("number", -1)) >= block, "behind")
        return self

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(30)


@pytest.fixture
def start_indexer(tmp_path: Path) -> Iterator[Callable[..., Indexer]]:
    """Starts indexers; all are ended with the test."""
    started: list[Indexer] = []

    def start(chain_url: str, database: str | None = None) -> Indexer:
        name = f"indexer-{len(started)}"
        started.append(Indexer(chain_url, database or f"sqlite:///{tmp_path / name}.db", tmp_path / f"{name}.log"))
        return started[-1]

    yield start
    for indexer in started:
        if indexer.process.poll() is None:
            indexer.stop()


@pytest.fixture(scope="module")
def told() -> Iterator[History]:
    """A chain of its own on which much has happened, for tests that only read."""
    anvil = Anvil()
    list(deploy(anvil.chain, Account(DEVELOPMENT_KEY)))
    history = History(anvil, 11)
    history.begin()
    for _ in range(20):
        history.act()
    history.rotate()
    yield history
    anvil.stop()


@pytest.fixture(scope="module")
def served(told: History, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Indexer]:
    """An indexer that is up to date with it."""
    folder = tmp_path_factory.mktemp("served")
    indexer = Indexer(told.anvil.url, f"sqlite:///{folder / 'log.db'}", folder / "log")
    yield indexer.ready().reach(told.chain.block())
    if indexer.process.poll() is None:
        indexer.stop()
