"""Runs anvil so that its state outlives a kill: `python -m kubeswarm_contracts.devchain STATE_FILE anvil ARGS...`.

anvil writes `--state` in place: killed in the middle it leaves a torn file, and refuses to start from it ever after. So
every dump is taken away from it as soon as it is there (anvil then writes the next into a new file), checked, put on
the disk, and kept as STATE_FILE.whole by a rename. It starts from the newest dump that is whole, so that about one
interval of blocks is lost (`--state-interval`), whatever is killed when.

Only the standard library is imported, so that `python -I .../devchain.py` costs anvil's pod 10 MB and no more.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

#: Between looks for a new dump.
LOOK_SECONDS = 0.5
CHUNK_BYTES = 1 << 20
#: anvil would keep the states of up to 1,500 past blocks where blocks come every second or two, each a copy of all
#: accounts and storage: more memory than all else together. Given a number it does the same there; so only the latest.
BOUNDS = ("--prune-history",)
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


def is_whole(path: Path) -> bool:
    """Whether the file holds one JSON object from its first byte to its last; False if there is none.

    Brackets are counted outside of strings, in constant memory: a state grows by up to 1 GB a day. No beginning of an
    object passes, nor what a file system leaves of pages that were never written (zeros).
    """
    depth, rest, ended = 0, b"", False
    try:
        with path.open("rb") as file:
            if file.read(1) != b"{":
                return False
            file.seek(0)
            while chunk := file.read(CHUNK_BYTES):
                if b"\0" in chunk or (ended and not chunk.isspace()):
                    return False
                plain = _STRING.sub(b"", rest + chunk)
                plain, quote, rest = plain.partition(b'"')
                rest = quote + rest
                depth += sum(map(plain.count, (b"{", b"["))) - sum(map(plain.count, (b"}", b"]")))
                ended = depth == 0 and not rest
    except FileNotFoundError:
        return False
    return ended


class Dumps:
    """The dumps of one anvil: where it writes, one that was taken away, and the last that is whole and on the disk."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self._taken = state.with_name(state.name + ".taken")
        self._whole = state.with_name(state.name + ".whole")
        self._torn = state.with_name(state.name + ".torn")
        self._restored: tuple[int, int] | None = None

    def restore(self) -> str:
        """Puts a copy of the newest whole dump where anvil reads it; returns what was done, for the log.

        What is torn and newer is moved to STATE_FILE.torn. Without any whole dump the chain begins anew.
        """
        for path in (self.state, self._taken, self._whole):
            if is_whole(path):
                self._settle(path)
                shutil.copyfile(self._whole, self.state)
                self._restored = self._version()
                return f"starting from {path.name}"
            if path.exists():
                path.replace(self._torn)
        return "starting a new chain: there is no whole state"

    def keep(self) -> None:
        """Takes a new dump away, and keeps it once it is whole: it may still be being written. Raises OSError."""
        if is_whole(self._taken):
            self._settle(self._taken)
        if self._version() not in (None, self._restored):
            self.state.replace(self._taken)

    def _settle(self, dump: Path) -> None:
        _sync(dump)
        dump.replace(self._whole)
        _sync(self._whole.parent)

    def _version(self) -> tuple[int, int] | None:
        """Tells one content of the state file from another."""
        try:
            found = self.state.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def run(state: Path, command: list[str]) -> int:
    """Runs anvil until it ends; SIGTERM and SIGINT are passed on to it. Returns the exit status as a shell gives it."""
    state.parent.mkdir(parents=True, exist_ok=True)
    dumps = Dumps(state)
    _say(dumps.restore())
    with subprocess.Popen([*command, f"--state={state}", *BOUNDS]) as anvil:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: anvil.send_signal(number))
        while True:
            try:
                status = anvil.wait(LOOK_SECONDS)
                break
            except subprocess.TimeoutExpired:
                _keep(dumps)
    _say(f"anvil ended with {status}")
    return status if status >= 0 else 128 - status


def _keep(dumps: Dumps) -> None:
    try:
        dumps.keep()
    except OSError as error:  # a full disk, say: the chain goes on, with the dump that was kept before
        _say(f"the last state was not kept: {error}")


def _say(message: str) -> None:
    print(json.dumps({"program": "devchain", "message": message}), file=sys.stderr, flush=True)


def main() -> int:
    """The command line. Returns the exit status."""
    if len(sys.argv) < 3:
        print("usage: python -m kubeswarm_contracts.devchain STATE_FILE anvil ARGS...", file=sys.stderr)
        return 2
    return run(Path(sys.argv[1]), sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
