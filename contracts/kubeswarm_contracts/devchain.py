"""Runs anvil so that its chain outlives a kill: `python -I devchain.py STATE BLOCK_SECONDS COPY_SECONDS anvil ARGS...`.

anvil can write its state by itself, but in place, so that a kill leaves a torn file; and it copies the blocks first and
the accounts then, so that what is mined in between is in the accounts and in no block: its events are lost for good
(anvil 1.7.1). So this program mines the blocks, copies the state between two of them, and puts each copy whole on the
disk before it takes the place of the one before. A kill at any instant costs what was mined since the last copy;
SIGTERM and SIGINT cost nothing.

Only the standard library is imported, so that anvil's pod needs little more memory than anvil.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

PORT = 8545
START_SECONDS = 60
#: Between two attempts to reach an anvil that starts.
LOOK_SECONDS = 0.1
#: Without an answer: a copy of a large state takes long.
ANSWER_SECONDS = 600
CHUNK_BYTES = 1 << 16
#: Copying may take this part of the time, and blocks wait for it.
COPYING_SHARE = 0.1
#: Blocks are made here alone. anvil would also keep the states of past blocks, each a copy of all accounts and storage:
#: more memory than all else together.
BOUNDS = ("--no-mining", "--prune-history")
#: What comes before and after a result in anvil's answer.
_RESULT, _QUOTE = b'"result":"0x', b'"'
_GZIP = 16 + zlib.MAX_WBITS


class AnvilError(Exception):
    """anvil did not do what it was asked."""


#: What asking anvil can raise.
FAILURES = (OSError, http.client.HTTPException, AnvilError)


class Anvil:
    """JSON-RPC to an anvil on this machine. Methods raise FAILURES."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)

    def mine(self) -> None:
        """Makes one block of the transactions that wait."""
        answer = self._ask("evm_mine").read()
        if _RESULT not in answer:
            raise AnvilError(f"evm_mine: {answer[:300]!r}")

    def copy(self, path: Path) -> None:
        """Writes the state to `path`, in the JSON that anvil loads, in constant memory; it is on the disk then."""
        plain = zlib.decompressobj(_GZIP)
        try:
            with path.open("wb") as file:
                for part in self._state():
                    file.write(plain.decompress(part))
                if not plain.eof:
                    raise AnvilError("anvil_dumpState: the answer ended early")
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            self._connection.close()  # the rest of the answer was not read
            raise

    def _state(self) -> Iterator[bytes]:
        """The gzipped state, in parts: the answer holds it as one string of hexadecimal digits."""
        response = self._ask("anvil_dumpState")
        chunk = response.read(CHUNK_BYTES)
        head, found, digits = chunk.partition(_RESULT)
        if not found:
            response.read()
            raise AnvilError(f"anvil_dumpState: {head[:300]!r}")
        while chunk:
            digits, end, _ = digits.partition(_QUOTE)
            even = len(digits) // 2 * 2
            yield bytes.fromhex(digits[:even].decode())
            if end:
                break
            chunk = response.read(CHUNK_BYTES)
            digits = digits[even:] + chunk
        response.read()

    def _ask(self, method: str) -> http.client.HTTPResponse:
        question = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": []})
        try:
            self._connection.request("POST", "/", question, {"content-type": "application/json"})
            return self._connection.getresponse()
        except (OSError, http.client.HTTPException):
            self._connection.close()  # the next question opens another
            raise


class DevChain:
    """One anvil with its blocks and copies. `state`: where the copy is."""

    def __init__(self, state: Path, block_seconds: float, copy_seconds: float, command: list[str]) -> None:
        self._state, self._command = state, command
        self._block_seconds, self._copy_seconds = block_seconds, copy_seconds
        self._anvil = Anvil(_port(command))
        self._stopping = False
        self._woken = threading.Event()  # anvil has ended, or is to

    def run(self) -> int:
        """Runs anvil until it ends, or SIGTERM or SIGINT comes. Returns the exit status as a shell gives it."""
        self._state.parent.mkdir(parents=True, exist_ok=True)
        load = [f"--load-state={self._state}"] if self._state.exists() else []
        _say(f"starting from {self._state.name}" if load else "starting a new chain")
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: self._woken.set())
        with subprocess.Popen([*self._command, *load, *BOUNDS]) as process:
            if self._is_up(process):
                self._go_on(process)
                if process.poll() is None:
                    self._copy()
            process.terminate()
            status = process.wait()
        _say(f"anvil ended with {status}")
        return status if status >= 0 else 128 - status

    def _stop(self, *_: object) -> None:
        self._stopping = True
        self._woken.set()

    def _is_up(self, process: subprocess.Popen[bytes]) -> bool:
        end = time.monotonic() + START_SECONDS
        while process.poll() is None and not self._stopping:
            try:
                self._anvil.mine()
                return True
            except FAILURES as error:
                if time.monotonic() > end:
                    _say(f"anvil does not answer: {error}")
                    return False
                self._woken.wait(LOOK_SECONDS)
        return False

    def _go_on(self, process: subprocess.Popen[bytes]) -> None:
        """Blocks and copies, one after the other."""
        next_copy = time.monotonic() + self._copy_seconds
        while process.poll() is None and not self._stopping:
            began = time.monotonic()
            if began >= next_copy:
                self._copy()
                took = time.monotonic() - began
                next_copy = time.monotonic() + max(self._copy_seconds, took / COPYING_SHARE - took)
            try:
                self._anvil.mine()
            except FAILURES as error:
                _say(f"no block was made: {error}")
            self._woken.wait(max(0.0, began + self._block_seconds - time.monotonic()))

    def _copy(self) -> None:
        new = self._state.with_name(self._state.name + ".new")
        try:
            self._anvil.copy(new)
            new.replace(self._state)
            _sync(self._state.parent)
        except (*FAILURES, ValueError, zlib.error) as error:
            # A full disk, say: the chain goes on, with the copy that was kept before.
            _say(f"the state was not kept: {error}")


def _port(command: list[str]) -> int:
    ports = [argument.partition("=")[2] for argument in command if argument.startswith("--port=")]
    return int(ports[-1]) if ports else PORT


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _say(message: str) -> None:
    print(json.dumps({"program": "devchain", "message": message}), file=sys.stderr, flush=True)


def main() -> int:
    """The command line. Returns the exit status."""
    if len(sys.argv) < 5:
        print("usage: devchain.py STATE BLOCK_SECONDS COPY_SECONDS anvil ARGS...", file=sys.stderr)
        return 2
    state, block_seconds, copy_seconds, *command = sys.argv[1:]
    return DevChain(Path(state), float(block_seconds), float(copy_seconds), command).run()


if __name__ == "__main__":
    sys.exit(main())
