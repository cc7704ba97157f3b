"""The spool: one immutable file a finished round, written by the trainer, read by the attestor.

`append` makes a file appear whole and on the disk, so that a crash at any instruction leaves the record or nothing.
"""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from kubeswarm_api.encoding import to_hex
from kubeswarm_api.errors import InvalidRecord
from kubeswarm_api.records import NO_DIGEST, Address, Digest, RoundRecord
from kubeswarm_workers.durable import replace_file

#: A record takes about 900 bytes.
MAX_RECORD_BYTES = 4096


def append(directory: Path, record: RoundRecord) -> None:
    """Writes the record of a round, once: the round is done when this returns.

    Doing it again is harmless. Raises InvalidRecord if another record of that round is there already.
    """
    path = _path(directory, record.round)
    if not path.exists():
        replace_file(path, record.to_bytes())
    elif path.read_bytes() != record.to_bytes():
        raise InvalidRecord(f"{path} holds another record of round {record.round}: finished rounds never change")


@dataclass(frozen=True)
class Author:
    """Whose records a spool may hold: on which chain, by which registry, in which Swarm, by which Node."""

    chain_id: int
    registry: Address
    swarm_id: Digest
    node_id: Address

    def check(self, record: RoundRecord) -> None:
        """Raises InvalidRecord if the record is someone else's."""
        for name, expected in vars(self).items():
            found = getattr(record, name)
            if found != expected:
                raise InvalidRecord(f"round {record.round} has {name} {found} instead of {expected}")


@dataclass
class Spool:
    """What has been read so far: rounds 1 to `last` are there and follow one another. Memory does not grow with it.

    `damage` says what is wrong with the record after `last`, if anything is: nothing behind it is looked at.
    """

    directory: Path
    author: Author
    last: int = 0
    damage: str | None = None
    _head: Digest = field(default=NO_DIGEST, repr=False)

    def advance(self) -> int:
        """Reads what was added, and returns `last`."""
        self.damage = None
        while True:
            try:
                record = self._read(self.last + 1)
                if record.previous != self._head:
                    raise InvalidRecord(f"round {record.round} does not name the digest of the round before")
            except FileNotFoundError:
                return self.last
            except (InvalidRecord, OSError) as error:
                self.damage = str(error)
                return self.last
            self.last, self._head = record.round, to_hex(record.digest())

    def read(self, first: int, last: int) -> list[RoundRecord]:
        """The records of these rounds. Raises InvalidRecord, OSError."""
        return [self._read(number) for number in range(first, last + 1)]

    def age(self, round: int) -> float:
        """How many seconds ago the record of a round was written; 0 if it was not yet. Raises OSError."""
        if round > self.last:
            return 0.0
        # A clock that was set back makes a file from the future: it is as one that was just written.
        return max(0.0, time.time() - _path(self.directory, round).stat().st_mtime)

    def room(self) -> int:
        """How many more records the volume takes. Raises OSError."""
        there = next(path for path in (self.directory, *self.directory.parents) if path.exists())
        found = os.statvfs(there)
        blocks = -(-MAX_RECORD_BYTES // found.f_frsize)
        by_size = found.f_bavail // blocks
        return min(by_size, found.f_favail) if found.f_files else by_size  # some file systems count no files

    def _read(self, number: int) -> RoundRecord:
        path = _path(self.directory, number)
        # The trainer's container may put anything there, a pipe that never ends too.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        with os.fdopen(handle, "rb") as file:
            data = file.read(MAX_RECORD_BYTES + 1) or b""
        if len(data) > MAX_RECORD_BYTES:
            raise InvalidRecord(f"{path} has more than {MAX_RECORD_BYTES} bytes")
        record = RoundRecord.from_bytes(data)
        if record.round != number:
            raise InvalidRecord(f"{path} holds round {record.round}")
        self.author.check(record)
        return record


def _path(directory: Path, round: int) -> Path:
    return directory / f"{round:08d}.json"
