"""The attestor as a process of its own against a real chain: each finished round is attested once, whatever happens."""

import http.server
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from kubeswarm_api import names
from kubeswarm_api.encoding import digest, from_hex, to_hex
from kubeswarm_api.errors import InvalidBatch
from kubeswarm_api.node_config import ChainConfig, NodeConfig
from kubeswarm_api.records import NO_DIGEST, RoundRecord
from kubeswarm_api.reports import AttestorReport
from kubeswarm_api.rollouts import Completion, Group, RolloutBatch, SignedBatch
from kubeswarm_api.spec_training import Attestation, TrainingSpec
from kubeswarm_contracts import Account, domain, new_key, recover_batch_signer, swarm_id
from kubeswarm_contracts.deploy import DEVELOPMENT_KEY, deploy
from kubeswarm_workers.attest.notary import SocketNotary
from kubeswarm_workers.attest.spool import append

ETHER = 10**18
REASONABLE_SECONDS = 60
TRAINING = {"model": {"image": "model:v1"}, "environment": {"reasoningGym": {"tasks": [{"name": "needle_haystack"}]}}}
free_offset = iter(range(20000, 29000, 10))


class Attestor:
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
        where = self.chain.deployment
        self.config = NodeConfig(
            namespace="default",
            name="node-0",
            swarm="swarm",
            swarm_id=self.swarm_id,
            index=0,
            training=TrainingSpec.model_validate({**TRAINING, "rounds": rounds}),
            attest=Attestation(**{"rounds": 1, "seconds": 1, **attest}),
            model_dir="/model",
            chain=ChainConfig(
                url=anvil.url,
                chain_id=where.chain_id,
                eas=where.eas,
                schema_uid=where.schema_uid,
                node_registry=where.node_registry,
                swarm_registry=where.swarm_registry,
                resolver=where.resolver,
            ),
        )
        self.write(names.NODE_CONFIG_FILE, json.dumps(self.config.to_json()))
        self.write(names.IDENTITY_KEY_FILE, self.key + "\n")
        self.offset = next(free_offset)
        self.log = self.root / "log"
        self.head = NO_DIGEST
        self.spooled = 0
        self.process: subprocess.Popen[bytes] | None = None

    def path(self, name: Any) -> Path:
        return names.local_path(self.root, name)

    def write(self, name: Any, text: str) -> None:
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        self.path(name).write_text(text)

    def fund(self, ether: float) -> None:
        self.anvil.rpc("anvil_setBalance", self.node_id, hex(int(ether * ETHER)))

    def start(self) -> "Attestor":
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
            append(self.path(names.DATA_DIR) / names.SPOOL, record)
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


@pytest.fixture
def attestor() -> Iterator[Callable[..., Attestor]]:
    """Makes attestors; all are ended with the test, and none has written its key anywhere."""
    made: list[Attestor] = []

    def make(anvil: Any, **options: Any) -> Attestor:
        made.append(Attestor(anvil, **options))
        return made[-1]

    yield make
    for each in made:
        logged = each.log.read_text() if each.log.exists() else ""
        each.remove()
        assert each.key[2:] not in logged


def problem(reason: str) -> Callable[[AttestorReport], bool]:
    return lambda report: report.problem is not None and report.problem.reason == reason


def metric(text: bytes, name: str) -> float:
    (line,) = [each for each in text.decode().splitlines() if each.startswith(name + " ")]
    return float(line.split()[1])


def test_it_registers_joins_attests_and_ends_with_nothing_left(anvil, attestor):
    node = attestor(anvil, ether=0, rounds=100, seconds=3600)
    node.train(2)
    node.start()
    report = node.wait(problem("KeyUnfunded"))
    assert node.node_id in report.problem.message and not report.registered
    node.fund(1)
    node.wait_attested(2)
    report = node.wait(lambda report: report.problem is None and report.spooled_rounds == 2)
    assert report.registered and report.joined
    node.train(3)
    node.wait_attested(5)
    text = node.get("/metrics")
    assert metric(text, "kubeswarm_attestor_attested_rounds") == 5
    assert metric(text, "kubeswarm_attestor_pending_rounds") == 0
    assert metric(text, "kubeswarm_attestor_attestations_total") == node.report().attestations >= 2
    assert metric(text, "kubeswarm_attestor_gas_used_total") == node.report().gas_used > 0
    assert 0 < metric(text, "kubeswarm_attestor_balance_ether") < 1
    assert node.get("/healthz") == b"ok\n"
    assert node.stop() == 0


def test_rounds_wait_for_company_and_sigterm_brings_the_rest(anvil, attestor):
    node = attestor(anvil, rounds=4, seconds=3600)
    node.config = node.config.model_copy(update={"attest": Attestation(rounds=4, seconds=3600)})
    node.write(names.NODE_CONFIG_FILE, json.dumps(node.config.to_json()))
    node.train(3)
    node.start()
    node.wait(lambda report: report.joined and report.spooled_rounds == 3)
    time.sleep(2)
    assert node.on_chain() == []
    started = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - started < 12
    assert node.on_chain() == [1, 2, 3]
    node.train(1)  # the last round of the spec
    node.start()
    node.wait_attested(4)
    found = node.chain.attestations(node.swarm_id)
    assert [(each.first, each.last) for each in found] == [(1, 3), (4, 4)]


def test_killed_at_any_instant_each_round_still_counts_once(start_anvil, attestor):
    """SIGKILL at twenty random instants while it registers, joins and attests, with a block every second."""
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    anvil = start_anvil()
    list(deploy(anvil.chain, Account(DEVELOPMENT_KEY)))
    node = attestor(anvil)
    anvil.rpc("evm_setIntervalMining", 1)
    for _ in range(20):
        node.train(chance.randint(0, 2))
        node.start()
        node.wait(lambda report: True)
        time.sleep(chance.uniform(0, 2.5))
        node.stop(signal.SIGKILL)
        rounds = node.on_chain()
        assert rounds == list(range(1, len(rounds) + 1)), f"seed {seed}"
        assert len(rounds) <= node.spooled
    node.train(1)
    node.start()
    node.wait_attested(node.spooled)


def test_a_chain_that_was_away_is_caught_up_with(start_anvil, attestor, tmp_path):
    state = str(tmp_path / "state.json")
    anvil = start_anvil("--state", state)
    list(deploy(anvil.chain, Account(DEVELOPMENT_KEY)))
    node = attestor(anvil)
    node.start()
    node.train(2)
    node.wait_attested(2)
    anvil.stop()
    node.wait(problem("ChainUnreachable"))
    node.train(5)
    node.wait(lambda report: report.spooled_rounds == 7)
    start_anvil("--state", state, port=anvil.port)
    node.wait_attested(7, 15)
    node.wait(lambda report: report.problem is None)


@pytest.mark.parametrize("depth", [1, 7, 20])
def test_rounds_that_a_reorganisation_took_are_sent_again(own_anvil, attestor, depth):
    node = attestor(own_anvil)
    node.start()
    node.train(2)
    node.wait_attested(2)
    own_anvil.rpc("anvil_mine", hex(30))
    node.train(2)
    node.wait_attested(4)
    own_anvil.rpc("anvil_mine", hex(depth - 1))
    own_anvil.rpc("anvil_reorg", depth, [])
    assert len(node.on_chain()) < 4
    end = time.monotonic() + 30
    while len(node.on_chain()) < 4:
        assert time.monotonic() < end, node.log.read_text()[-3000:]
        time.sleep(0.2)
    assert node.on_chain() == [1, 2, 3, 4]
    assert "the chain went back" in node.log.read_text()


def test_a_reorganisation_of_everything_registers_and_joins_again(own_anvil, attestor):
    node = attestor(own_anvil)
    before = own_anvil.chain.block()
    node.start()
    node.train(3)
    node.wait_attested(3)
    own_anvil.rpc("anvil_reorg", own_anvil.chain.block() - before, [])
    assert own_anvil.chain.key_of(node.node_id) is None
    end = time.monotonic() + 30
    while node.on_chain() != [1, 2, 3]:
        assert time.monotonic() < end, node.log.read_text()[-3000:]
        time.sleep(0.2)


def test_two_attestors_with_one_key_attest_each_round_once(start_anvil, attestor):
    anvil = start_anvil()
    list(deploy(anvil.chain, Account(DEVELOPMENT_KEY)))
    node = attestor(anvil)
    twin = attestor(anvil)
    for name in (names.NODE_CONFIG_FILE, names.IDENTITY_KEY_FILE):
        shutil.copy(node.path(name), twin.path(name))
    twin.node_id, twin.swarm_id, twin.key = node.node_id, node.swarm_id, node.key
    anvil.rpc("evm_setIntervalMining", 1)
    node.start()
    twin.start()
    for _ in range(6):
        node.train(1)
        twin.train(1)
        time.sleep(1)
    node.wait_attested(6)
    twin.wait_attested(6)


def test_a_damaged_spool_is_said_and_what_is_before_it_still_counts(anvil, attestor):
    node = attestor(anvil)
    node.train(3)
    spool = node.path(names.DATA_DIR) / names.SPOOL
    third = (spool / "00000003.json").read_bytes()
    (spool / "00000003.json").write_bytes(third[:100])
    node.start()
    report = node.wait(problem("SpoolDamaged"))
    assert "00000003.json" in report.problem.message or "not a round record" in report.problem.message
    assert node.on_chain() == [1, 2]
    (spool / "00000003.json").write_bytes(third)
    node.wait_attested(3)
    node.wait(lambda report: report.problem is None)


def test_a_chain_that_is_not_the_configured_one_gets_nothing(start_anvil, attestor):
    anvil = start_anvil()
    list(deploy(anvil.chain, Account(DEVELOPMENT_KEY)))
    node = attestor(anvil)
    anvil.stop()
    start_anvil("--chain-id", "5", port=anvil.port)
    node.train(1)
    node.start()
    assert "leads to chain 5" in node.wait(problem("ChainRejected")).problem.message


def test_a_swarm_that_is_not_there_yet_is_waited_for(anvil, attestor):
    node = attestor(anvil)
    owner, salt = anvil.transactor(), digest(b"later" + node.node_id.encode())
    node.swarm_id = swarm_id(owner.account.address, salt)
    node.config = node.config.model_copy(update={"swarm_id": node.swarm_id})
    node.write(names.NODE_CONFIG_FILE, json.dumps(node.config.to_json()))
    node.train(1)
    node.start()
    assert node.wait(problem("SwarmNotFound")).registered
    owner.create_swarm(salt, digest(b"config"))
    node.wait_attested(1)


def test_an_ejected_node_is_told_and_goes_on_when_it_is_invited_back(anvil, attestor):
    node = attestor(anvil)
    node.start()
    node.train(1)
    node.wait_attested(1)
    node.owner.eject(node.swarm_id, node.node_id, "a drill")
    node.train(1)
    report = node.wait(problem("ChainRejected"))
    assert "ejected" in report.problem.message and not report.joined
    node.owner.invite(node.swarm_id, node.node_id)
    node.wait_attested(2)


class Liar(http.server.BaseHTTPRequestHandler):
    """An RPC endpoint that passes seven of eight requests on; the rest gets errors, noise, old news or no answer."""

    behind: ClassVar[str] = ""
    kinds: ClassVar[Iterator[str]] = itertools.cycle(
        kind
        for lie in ("hang up", "status", "error", "noise", "null", "zero", "old", "lost")
        for kind in (*["true"] * 7, lie)
    )
    lies: ClassVar[Counter[str]] = Counter()
    answers: ClassVar[dict[bytes, bytes]] = {}

    def do_POST(self) -> None:
        request = self.rfile.read(int(self.headers["Content-Length"]))
        kind = next(self.kinds)
        method = json.loads(request)["method"]
        self.lies[kind] += 1
        status = 200
        body = b""
        if kind in ("true", "old", "lost"):
            sent = urllib.request.Request(self.behind, request, {"Content-Type": "application/json"})
            with urllib.request.urlopen(sent, timeout=10) as answer:
                body = bytes(answer.read())
            # What the same was answered the time before, as by a node that lags behind.
            known = request.partition(b'"id"')[0]
            before, self.answers[known] = self.answers.get(known, body), body
            body = before if kind == "old" else body
        if kind == "status":
            status = 503
        elif kind == "error":
            body = b'{"jsonrpc": "2.0", "id": 1, "error": {"code": -32005, "message": "limit exceeded"}}'
        elif kind == "noise":
            body = b"<html>"
        elif kind in ("null", "zero"):
            result = {"null": None, "zero": "0x0"}[kind]
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()
        if kind == "hang up" or (kind == "lost" and method == "eth_sendRawTransaction"):
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_an_endpoint_that_lies_and_loses_changes_nothing_of_the_outcome(start_anvil, attestor):
    anvil = start_anvil()
    list(deploy(anvil.chain, Account(DEVELOPMENT_KEY)))
    node = attestor(anvil, rounds=12)
    Liar.behind = anvil.url
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar) as liar:
        threading.Thread(target=liar.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{liar.server_address[1]}"
        assert node.config.chain is not None
        node.config = node.config.model_copy(update={"chain": node.config.chain.model_copy(update={"url": url})})
        node.write(names.NODE_CONFIG_FILE, json.dumps(node.config.to_json()))
        node.start()
        for _ in range(12):
            node.train(1)
            time.sleep(0.5)
        end = time.monotonic() + 180
        while len(node.on_chain()) < 12 or len(Liar.lies) < 9:
            assert time.monotonic() < end, node.log.read_text()[-3000:]
            time.sleep(0.2)
        liar.shutdown()
    assert node.on_chain() == list(range(1, 13))


def batch_of(node: Attestor, notary: SocketNotary, number: int = 1) -> SignedBatch:
    completion = Completion(tokens=[1, 2], logprobs=[-0.5, -0.25], reward=0.5, truncated=False)
    group = Group(task="needle", item=1, prompt_tokens=[1], completions=[completion])
    batch = RolloutBatch(
        swarm_id=node.swarm_id, node_id=notary.node_id, round=number, model="0x" + "cd" * 32, groups=[group]
    )
    return SignedBatch(batch=batch, signature=notary.sign(number, batch.root()))


def test_the_socket_signs_for_its_own_node_and_verifies_others(anvil, attestor):
    node = attestor(anvil)
    node.start()
    notary = node.notary()
    assert notary.node_id == node.node_id
    assert node.path(names.ATTESTOR_SOCKET).stat().st_mode & 0o777 == 0o660
    signed = batch_of(node, notary)
    where = domain(anvil.chain.deployment)
    root = signed.batch.root()
    assert recover_batch_signer(where, node.swarm_id, node.node_id, 1, root, signed.signature) == node.node_id
    node.wait(lambda report: report.joined)
    time.sleep(3.5)  # what was known of a stranger is forgotten
    notary.verify(signed)
    for change in ({"round": 2}, {"model": "0x" + "ee" * 32}, {"groups": []}):
        forged = signed.model_copy(update={"batch": signed.batch.model_copy(update=change)})
        with pytest.raises(InvalidBatch, match="signature"):
            notary.verify(forged)
    stranger = Account(new_key()[0])
    batch = signed.batch.model_copy(update={"node_id": stranger.address})
    signature = stranger.sign_batch(where, node.swarm_id, stranger.address, 1, batch.root())
    with pytest.raises(InvalidBatch, match="membership"):
        notary.verify(SignedBatch(batch=batch, signature=signature))
    assert metric(node.get("/metrics"), "kubeswarm_attestor_signatures_total") == 1


def test_the_socket_does_not_know_without_a_chain_and_still_signs(start_anvil, attestor):
    anvil = start_anvil()
    list(deploy(anvil.chain, Account(DEVELOPMENT_KEY)))
    node = attestor(anvil)
    anvil.stop()
    node.start()
    notary = node.notary()
    signed = batch_of(node, notary)
    with pytest.raises(OSError, match="503"):
        notary.verify(signed)


HOSTILE = [
    b"",
    b"[]",
    b"{",
    b'{"round": 1}',
    b'{"round": 0, "digest": "0x%s"}' % (b"ab" * 32),
    b'{"round": "1", "digest": "0x%s"}' % (b"ab" * 32),
    b'{"round": 1, "digest": "0x%s"}' % (b"ab" * 31),
    b'{"round": 1, "digest": "0x%s"}' % (b"AB" * 32),
    b'{"round": 9223372036854775808, "digest": "0x%s"}' % (b"ab" * 32),
    b'{"round": 1, "digest": "0x%s", "nodeId": "0x%s"}' % (b"ab" * 32, b"11" * 20),
    b'{"round": 1, "digest": "0x%s", "swarmId": "0x%s"}' % (b"ab" * 32, b"11" * 32),
    b'{"transaction": {"to": "0x%s", "value": 1}}' % (b"11" * 20),
    b"[" * 2000,
]


def test_nothing_else_can_be_had_from_the_socket(anvil, attestor):
    node = attestor(anvil)
    node.start()
    node.notary()
    transport = httpx.HTTPTransport(uds=str(node.path(names.ATTESTOR_SOCKET)))
    with httpx.Client(transport=transport, base_url="http://attestor") as client:
        for body in HOSTILE:
            answer = client.post("/v1/sign", content=body)
            assert answer.status_code == 400, (body, answer.text)
            assert "signature" not in answer.text
        assert client.post("/v1/sign", content=bytes(100_000)).status_code == 413
        for path in ("/v1/key", "/v1/transaction", "/", "/status", "/v1/../etc/kubeswarm/identity/key"):
            assert client.get(path).status_code == 404
        assert client.get("/v1/sign").status_code == 405
        good = client.post("/v1/sign", content=b'{"round": 1, "digest": "0x%s"}' % (b"ab" * 32)).json()
        assert set(good) == {"signature"} and len(from_hex(good["signature"], 65)) == 65
    for path in ("/v1/sign", "/v1/state"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            node.get(path)
    assert metric(node.get("/metrics"), "kubeswarm_attestor_signatures_total") == 1


def test_it_does_not_start_without_its_key_and_says_why(anvil, attestor):
    node = attestor(anvil)
    node.write(names.IDENTITY_KEY_FILE, "0x" + "00" * 31)
    node.start()
    assert node.process.wait(30) == 1
    node.process = None
    assert str(node.path(names.IDENTITY_KEY_FILE)) in node.log.read_text()
