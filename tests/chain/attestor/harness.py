"""What the tests of the attestor start: Nodes with their files, attestors as processes and in this one, endpoints."""

import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubeswarm_api import names
from kubeswarm_api.encoding import digest, to_hex
from kubeswarm_api.node_config import GasCaps, NodeConfig
from kubeswarm_api.records import NO_DIGEST, RoundRecord
from kubeswarm_api.reports import AttestorReport
from kubeswarm_api.spec_training import Attestation, TrainingSpec
from kubeswarm_contracts import Account, FeeCaps, Patience, Transactor, new_key, swarm_id
from kubeswarm_contracts.sending import nothing
from kubeswarm_workers.attest import loop
from kubeswarm_workers.attest.notary import SocketNotary
from kubeswarm_workers.attest.spool import Author, Spool, append
from kubeswarm_workers.entrypoints.attestor import chain_of

ETHER = 10**18
REASONABLE_SECONDS = 60
TRAINING = {"model": {"image": "model:v1"}, "environment": {"reasoningGym": {"tasks": [{"name": "needle_haystack"}]}}}
free_offset = iter(range(20000, 29000, 10))


class Node:
    """A Node's files, and the process that attests its rounds."""

    def __init__(self, anvil: Any, ether: float = 10, rounds: int = 1000, **attest: int) -> None:
        self.anvil, self.chain = anvil, anvil.chain
        self.root = Path(tempfile.mkdtemp(prefix="kubeswarm-"))  # a socket's path must be short
        self.key, self.node_id = new_key()
        if ether:
            self.fund(ether)
        salt = digest(self.node_id.encode())
        self.owner = anvil.transactor()
        self.owner.create_swarm(salt, digest(b"config"))
        self.swarm_id = swarm_id(self.owner.account.address, salt)
        self.config = NodeConfig(
            namespace="default",
            name="node-0",
            swarm="swarm",
            swarm_id=self.swarm_id,
            index=0,
            training=TrainingSpec.model_validate({**TRAINING, "rounds": rounds}),
            attest=Attestation(**{"rounds": 1, "seconds": 1, **attest}),
            model_dir="/model",
            chain=self.chain.deployment.config(anvil.url),
        )
        self.configure()
        self.write(names.IDENTITY_KEY_FILE, self.key + "\n")
        self.offset = next(free_offset)
        self.log = self.root / "log"
        self.head = NO_DIGEST
        self.spooled = 0
        self.process: subprocess.Popen[bytes] | None = None

    def path(self, name: Any) -> Path:
        return names.local_path(self.root, name)

    def configure(self, *, url: str | None = None, gas: GasCaps | None = None, **fields: Any) -> None:
        """Writes the configuration, with these fields changed; `url` and `gas` are the chain's."""
        assert self.config.chain is not None
        changed = {name: value for name, value in (("url", url), ("gas", gas)) if value is not None}
        chain = self.config.chain.model_copy(update=changed)
        self.config = self.config.model_copy(update={"chain": chain, **fields})
        self.write(names.NODE_CONFIG_FILE, json.dumps(self.config.to_json()))

    def write(self, name: Any, text: str) -> None:
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        self.path(name).write_text(text)

    def fund(self, ether: float) -> None:
        self.anvil.fund(self.node_id, int(ether * ETHER))

    def start(self) -> "Node":
        env = {**os.environ, "KUBESWARM_ROOT": str(self.root), "KUBESWARM_PORT_OFFSET": str(self.offset)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kubeswarm_workers.entrypoints.attestor"], env=env, stdout=log, stderr=log
            )
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.process = None
        return code

    def train(self, rounds: int) -> None:
        """Finishes this many rounds, as the trainer does."""
        for _ in range(rounds):
            self.spooled += 1
            where = self.chain.deployment
            record = RoundRecord(
                chain_id=where.chain_id,
                registry=where.node_registry,
                swarm_id=self.swarm_id,
                node_id=self.node_id,
                round=self.spooled,
                previous=self.head,
                config=to_hex(self.config.config_digest()),
                model_before=to_hex(digest(b"%d" % (self.spooled - 1))),
                model_after=to_hex(digest(b"%d" % self.spooled)),
                rollouts_root=to_hex(digest(b"rollouts")),
                samples=96,
                reward=1000 * self.spooled,
                tokens=1900,
            )
            append(self.spool, record)
            self.head = to_hex(record.digest())

    def get(self, path: str) -> bytes:
        url = f"http://127.0.0.1:{names.ATTESTOR_PORT + self.offset}{path}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read()

    def report(self) -> AttestorReport | None:
        try:
            return AttestorReport.model_validate_json(self.get("/status"))
        except OSError:
            return None

    def wait(self, what: Callable[[AttestorReport], object], seconds: float = REASONABLE_SECONDS) -> AttestorReport:
        """Waits until the report says so."""
        end = time.monotonic() + seconds
        report = None
        while time.monotonic() < end:
            report = self.report()
            if report is not None and what(report):
                return report
            time.sleep(0.1)
        raise AssertionError(f"{report}\n{self.log.read_text()[-3000:]}")

    def attestor(self, **options: Any) -> loop.Attestor:
        """The attestor's loop over the files of this Node, as the process makes it, but for the options given here."""
        chain = self.config.chain
        assert chain is not None
        caps, patience = FeeCaps.of(chain.gas), options.pop("patience", None)
        account = options.pop("account", None) or Account(self.key)
        reached = options.get("reached", nothing)
        transactor = Transactor(chain_of(chain), account, caps, patience, reached)
        node_id = self.config.node_id or self.node_id
        author = Author(chain.chain_id, chain.node_registry, self.config.swarm_id, node_id)
        return loop.Attestor(self.config, chain, transactor, node_id, Spool(self.spool, author), **options)

    @property
    def spool(self) -> Path:
        return self.path(names.DATA_DIR) / names.SPOOL

    def wait_chain(self, rounds: int, seconds: float = REASONABLE_SECONDS) -> None:
        """Waits until the chain's events name each round up to `rounds` once."""
        end = time.monotonic() + seconds
        while len(self.on_chain()) < rounds:
            log = self.log.read_text()[-3000:] if self.log.exists() else ""
            assert time.monotonic() < end, f"{self.on_chain()} instead of {rounds} rounds\n{log}"
            time.sleep(0.1)
        assert self.on_chain() == list(range(1, rounds + 1))

    def on_chain(self) -> list[int]:
        """Every round that the chain's events name, in their order."""
        found = self.chain.attestations(self.swarm_id, node_id=self.node_id)
        return [number for each in found for number in range(each.first, each.last + 1)]

    def wait_attested(self, rounds: int, seconds: float = REASONABLE_SECONDS) -> None:
        self.wait(lambda report: report.attested_rounds >= rounds, seconds)
        assert self.on_chain() == list(range(1, rounds + 1))

    def notary(self) -> SocketNotary:
        return SocketNotary(self.path(names.ATTESTOR_SOCKET))

    def remove(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
        shutil.rmtree(self.root)


def problem(reason: str) -> Callable[[AttestorReport], bool]:
    return lambda report: report.problem is not None and report.problem.reason == reason


def metric(text: bytes, name: str) -> float:
    (line,) = [each for each in text.decode().splitlines() if each.startswith(name + " ")]
    return float(line.split()[1])


#: What takes minutes in a cluster takes seconds here.
QUICK = loop.Pace(spool=0.05, chain=0.2, first_retry=0.05, last_retry=0.3)
SHORT = Patience(deadline=3.0, raise_after=1.0)


class Running:
    """An attestor's loop in a thread of this process, at a quick pace, at times with an endpoint that lies."""

    def __init__(self, node: Node, **options: Any) -> None:
        self.attestor = node.attestor(**({"pace": QUICK, "patience": SHORT} | options))
        self.problems: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.attestor.run, args=(self._stop,), daemon=True)
        self._thread.start()

    def wait(self, what: Callable[[AttestorReport], object], seconds: float = REASONABLE_SECONDS) -> AttestorReport:
        """Waits until the report says so."""
        end = time.monotonic() + seconds
        while not what(self.attestor.report):
            assert time.monotonic() < end, self.attestor.report
            time.sleep(0.02)
        return self.attestor.report

    def gauge(self, name: str) -> float | None:
        return self.attestor.metrics.collectors.get_sample_value(name)

    def end(self) -> None:
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()


class Endpoint:
    """A JSON-RPC endpoint before a real chain. `answer` may change, lose or invent what it says.

    It is given the request (method, params) and what passes it on and returns the chain's answer; it returns the answer
    to give, or None to hang up.
    """

    Forward = Callable[[], dict[str, Any]]

    def __init__(self, behind: str, answer: "Callable[[dict[str, Any], Forward], dict[str, Any] | None]") -> None:
        self.answer = answer
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = endpoint.answer(json.loads(body), lambda: forwarded(behind, body))
                if answer is None:
                    self.close_connection = True
                    return
                data = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def forwarded(url: str, body: bytes) -> dict[str, Any]:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


def result(request: dict[str, Any], value: Any) -> dict[str, Any]:
    """The answer with this result."""
    return {"jsonrpc": "2.0", "id": request["id"], "result": value}
