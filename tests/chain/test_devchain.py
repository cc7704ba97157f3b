"""The development chain's state survives a SIGKILL at any instant, although anvil writes it in place."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubeswarm_contracts import Chain, deployment, devchain
from kubeswarm_contracts.devchain import is_whole
from kubeswarm_contracts.rpc import RpcError

RICH = "0x" + "11" * 20


class DevChain:
    """devchain and its anvil, as they run in a pod: killed together."""

    def __init__(self, program: Path, port: int, folder: Path) -> None:
        self.program, self.port = program, port
        self.state = folder / "state.json"
        self.whole = folder / "state.json.whole"
        self.log = folder / "log"
        self.chain = Chain(f"http://127.0.0.1:{port}", deployment(31337))

    def start(self, *arguments: str) -> "DevChain":
        """`arguments`: more of anvil's."""
        command = [sys.executable, "-I", devchain.__file__, self.state, self.program]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*map(str, command), f"--port={self.port}", "--quiet", *arguments],
                stderr=log,
                start_new_session=True,
            )
        return self

    def begin(self, *arguments: str, interval: int = 1) -> "DevChain":
        self.start(f"--state-interval={interval}", *arguments)
        self.chain.wait(30)
        return self

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def mine(self, blocks: int) -> int:
        """Adds blocks, and returns the number of the last."""
        self.chain.rpc.request("anvil_mine", hex(blocks))
        return self.chain.block()

    def wait_kept(self) -> None:
        """Waits until all that is on the chain now is in the copy: the second dump from now on surely holds it."""
        for _ in range(2):
            before = self.whole.stat().st_mtime_ns if self.whole.exists() else 0
            end = time.monotonic() + 30
            while not self.whole.exists() or self.whole.stat().st_mtime_ns == before:
                assert time.monotonic() < end, self.log.read_text()
                time.sleep(0.05)


@pytest.fixture
def dev_chain(anvil_program: Path, free_port: Callable[[], int], tmp_path: Path) -> Iterator[DevChain]:
    made = DevChain(anvil_program, free_port(), tmp_path)
    yield made
    if made.process.poll() is None:
        made.kill()


def test_what_was_kept_is_there_after_a_kill_that_tore_the_state(dev_chain: DevChain) -> None:
    dev_chain.begin()
    dev_chain.chain.rpc.request("anvil_setBalance", RICH, hex(7))
    last = dev_chain.mine(5)
    dev_chain.wait_kept()
    dev_chain.kill()
    dev_chain.state.write_bytes(dev_chain.whole.read_bytes()[:-100])  # as a write that was cut off leaves it
    dev_chain.begin()
    assert dev_chain.chain.block() >= last
    assert dev_chain.chain.balance(RICH) == 7
    dev_chain.kill()
    dev_chain.state.unlink(missing_ok=True)
    dev_chain.begin()
    assert dev_chain.chain.block() >= last


def test_killed_at_any_instant_it_starts_again_and_loses_no_more_than_an_interval(dev_chain: DevChain) -> None:
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    kept = 0
    for _ in range(4):
        dev_chain.begin()
        assert dev_chain.chain.block() >= kept, (seed, dev_chain.log.read_text())
        kept = dev_chain.mine(400)  # a state that takes a while to write
        dev_chain.wait_kept()
        dev_chain.mine(100)
        time.sleep(chance.uniform(0, 1.5))
        dev_chain.kill()
    dev_chain.begin()
    assert dev_chain.chain.block() >= kept, (seed, dev_chain.log.read_text())


def test_sigterm_is_passed_on_and_keeps_the_last_block(dev_chain: DevChain) -> None:
    dev_chain.begin(interval=3600)
    last = dev_chain.mine(5)
    dev_chain.process.terminate()
    assert dev_chain.process.wait(30) == 0
    assert is_whole(dev_chain.state)
    dev_chain.begin(interval=3600)
    assert dev_chain.chain.block() == last


def test_the_states_of_old_blocks_are_given_up(dev_chain: DevChain) -> None:
    dev_chain.begin("--block-time=1")  # where anvil by itself would keep most
    last = dev_chain.mine(5)
    assert dev_chain.chain.balance(RICH) == 0
    with pytest.raises(RpcError, match="BlockOutOfRange"):
        dev_chain.chain.rpc.request("eth_getBalance", RICH, hex(last - 3))


def test_a_first_dump_that_is_torn_is_laid_aside_and_a_new_chain_begins(dev_chain: DevChain) -> None:
    dev_chain.state.write_bytes(b'{"block": {"number": "0x')
    dev_chain.begin()
    assert dev_chain.chain.block() == 0
    assert dev_chain.state.with_name("state.json.torn").read_bytes() == b'{"block": {"number": "0x'
    assert "starting a new chain" in dev_chain.log.read_text()


def test_it_ends_with_anvils_status_and_stays_small(dev_chain: DevChain) -> None:
    dev_chain.begin()
    status = Path(f"/proc/{dev_chain.process.pid}/status").read_text()
    kilobytes = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
    assert kilobytes < 32 * 1024  # the chart asks for little memory, and anvil needs it
    dev_chain.kill()
    assert dev_chain.start("--no-such-option").process.wait(30) == 2


def test_no_beginning_of_a_state_passes_for_a_whole_one(
    dev_chain: DevChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dev_chain.begin()
    dev_chain.mine(1)
    dev_chain.wait_kept()
    dev_chain.kill()
    data, cut = dev_chain.whole.read_bytes(), tmp_path / "cut"
    shutil.copy(dev_chain.whole, cut)
    assert is_whole(cut)
    monkeypatch.setattr(devchain, "CHUNK_BYTES", 61)  # strings and brackets come to lie across chunks
    assert is_whole(cut)
    for size in range(0, len(data), 7):
        cut.write_bytes(data[:size])
        assert not is_whole(cut), size
    cut.write_bytes(data[:-200] + bytes(200))
    assert not is_whole(cut)
    for text, expected in ((b'{"a": "}\\"]"}\n', True), (b'{"a": "}\\"]"', False), (b"{}", True), (b"[]", False)):
        cut.write_bytes(text)
        assert is_whole(cut) == expected, text
