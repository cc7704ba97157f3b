"""The development chain survives a kill at any instant, and what it starts from is of one block in all its parts."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kubeswarm_contracts import Chain, ChainError, deployment, devchain
from kubeswarm_contracts.rpc import RpcError
from tests.cluster.control_plane import until

RICH = "0x" + "11" * 20
#: The first of the accounts that anvil signs for.
SENDER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
RARELY = 3600.0


class DevChain:
    """devchain and its anvil, as they run in a pod: killed together."""

    def __init__(self, program: Path, port: int, folder: Path) -> None:
        self.program, self.port = program, port
        self.state = folder / "state.json"
        self.log = folder / "log"
        self.chain = Chain(f"http://127.0.0.1:{port}", deployment(31337))

    def start(self, *arguments: str, block: float = 1.0, copy: float = 1.0) -> "DevChain":
        """`arguments`: more of anvil's. `block`, `copy`: seconds."""
        command = [sys.executable, "-I", devchain.__file__, self.state, str(block), str(copy), self.program]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*map(str, command), f"--port={self.port}", "--quiet", *arguments],
                stderr=log,
                start_new_session=True,
            )
        return self

    def begin(self, block: float = 1.0, copy: float = 1.0) -> "DevChain":
        self.start(block=block, copy=copy)
        self.chain.wait(30)
        return self

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def mine(self, blocks: int) -> int:
        """Adds blocks, and returns the number of the last."""
        self.chain.rpc.request("anvil_mine", hex(blocks))
        return self.chain.block()

    def copied(self) -> int:
        """The last block of the copy."""
        return json.loads(self.state.read_bytes())["best_block_number"] if self.state.exists() else -1

    def wait_copied(self, block: int) -> None:
        until(lambda: self.copied() >= block, 30, f"a copy of block {block}")

    def sent(self) -> int:
        """What SENDER has sent, by its account."""
        return self.chain.rpc.quantity("eth_getTransactionCount", SENDER, "latest")

    def mined(self) -> int:
        """The transactions in all blocks."""
        numbers = range(self.chain.block() + 1)
        blocks = self.chain.rpc.batch([("eth_getBlockByNumber", [hex(number), False]) for number in numbers])
        return sum(len(block["transactions"]) for block in blocks)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """SENDER sends all the while, until the chain is gone."""

        def send() -> None:
            transaction = {"from": SENDER, "to": RICH, "value": "0x1", "data": "0x" + "ab" * 2000, "gas": hex(200_000)}
            while True:
                try:
                    self.chain.rpc.request("eth_sendTransaction", transaction)
                except ChainError:
                    return

        thread = threading.Thread(target=send)
        thread.start()
        yield
        thread.join(30)


@pytest.fixture
def dev_chain(anvil_program: Path, free_port: Callable[[], int], tmp_path: Path) -> Iterator[DevChain]:
    made = DevChain(anvil_program, free_port(), tmp_path)
    yield made
    if made.process.poll() is None:
        made.kill()


def test_what_was_copied_is_there_after_a_kill_in_the_middle_of_a_copy(dev_chain: DevChain) -> None:
    dev_chain.begin()
    dev_chain.chain.rpc.request("anvil_setBalance", RICH, hex(7))
    last = dev_chain.mine(5)
    dev_chain.wait_copied(last)
    dev_chain.kill()
    new = dev_chain.state.with_name("state.json.new")
    new.write_bytes(dev_chain.state.read_bytes()[:-100])  # as a kill leaves it
    dev_chain.begin()
    assert dev_chain.chain.block() >= last
    assert dev_chain.chain.balance(RICH) == 7
    dev_chain.wait_copied(last + 1)
    assert not new.exists()


def test_killed_at_any_instant_it_starts_again_and_loses_no_more_than_since_the_last_copy(dev_chain: DevChain) -> None:
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    last = 0
    for _ in range(4):
        dev_chain.begin()
        assert dev_chain.chain.block() >= last, (seed, dev_chain.log.read_text())
        last = dev_chain.mine(400)  # a state that takes a while to write
        dev_chain.wait_copied(last)
        dev_chain.mine(100)
        time.sleep(chance.uniform(0, 1.5))
        dev_chain.kill()
    dev_chain.begin()
    assert dev_chain.chain.block() >= last, (seed, dev_chain.log.read_text())


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_ended_while_blocks_are_full_no_transaction_is_in_the_accounts_and_in_no_block(
    dev_chain: DevChain, end: signal.Signals
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    for _ in range(4):
        dev_chain.begin(block=0.03, copy=0.1)
        with dev_chain.busy():
            dev_chain.wait_copied(dev_chain.chain.block() + 10)
            time.sleep(chance.uniform(0, 0.5))
            os.killpg(dev_chain.process.pid, end) if end == signal.SIGKILL else dev_chain.process.terminate()
            dev_chain.process.wait(30)
        dev_chain.begin(block=RARELY, copy=RARELY)
        sent = dev_chain.sent()
        assert sent > 0
        assert sent == dev_chain.mined(), (seed, dev_chain.log.read_text())
        dev_chain.kill()


def test_sigterm_keeps_the_last_block(dev_chain: DevChain) -> None:
    dev_chain.begin(block=RARELY, copy=RARELY)
    last = dev_chain.mine(5)
    dev_chain.process.terminate()
    assert dev_chain.process.wait(30) == 0
    assert dev_chain.copied() == last
    dev_chain.begin(block=RARELY, copy=RARELY)
    assert dev_chain.chain.block() >= last


def test_blocks_come_at_their_pace_and_take_what_waits(dev_chain: DevChain) -> None:
    dev_chain.begin(block=0.5)
    began, first = time.monotonic(), dev_chain.chain.block()
    sent = dev_chain.chain.rpc.request("eth_sendTransaction", {"from": SENDER, "to": RICH, "value": "0x1"})
    until(lambda: dev_chain.chain.block() >= first + 6, 30, "six blocks")
    assert time.monotonic() - began >= 2.0
    assert dev_chain.chain.rpc.request("eth_getTransactionReceipt", sent)["status"] == "0x1"


def test_the_states_of_old_blocks_are_given_up(dev_chain: DevChain) -> None:
    dev_chain.begin()
    last = dev_chain.mine(5)
    assert dev_chain.chain.balance(RICH) == 0
    with pytest.raises(RpcError, match="BlockOutOfRange"):
        dev_chain.chain.rpc.request("eth_getBalance", RICH, hex(last - 3))


def test_a_copy_that_finds_no_room_is_told_and_the_chain_goes_on(dev_chain: DevChain) -> None:
    new = dev_chain.state.with_name("state.json.new")
    new.symlink_to("/dev/full")
    dev_chain.begin(copy=0.2)
    first = dev_chain.chain.block()
    until(lambda: dev_chain.chain.block() >= first + 3, 30, "three blocks")
    assert "No space left on device" in dev_chain.log.read_text()
    assert not dev_chain.state.exists()
    new.unlink()
    dev_chain.wait_copied(first + 3)


def test_it_ends_with_anvils_status_and_stays_small(dev_chain: DevChain) -> None:
    dev_chain.begin(copy=0.2)
    dev_chain.wait_copied(dev_chain.mine(400))
    status = Path(f"/proc/{dev_chain.process.pid}/status").read_text()
    kilobytes = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
    assert kilobytes < 32 * 1024  # the chart asks for little memory, and anvil needs it
    dev_chain.kill()
    assert dev_chain.start("--no-such-option").process.wait(30) == 2
