"""Foreign batches between the thread that fetches them and the trainer: in order, bounded, never dropped here.

When it is full the fetching stops; what waits meanwhile lies in the stream, whose limits bound it.
"""

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

from kubeswarm_api.rollouts import SignedBatch

#: Bytes as they came over the wire; decoded they take up to about 20 times as much.
CAPACITY_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class _Entry:
    cursor: int
    size: int
    batch: SignedBatch


class Inbox:
    """Batches by cursor, and the count of refused groups by reason. Threads may share it."""

    def __init__(self, capacity: int = CAPACITY_BYTES) -> None:
        self._capacity = capacity
        self._entries: deque[_Entry] = deque()
        self._size = 0
        self._position: int | None = None
        self._dropped: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def position(self) -> int | None:
        """The cursor up to which everything was fetched; None before the trainer said where it stands."""
        with self._lock:
            return self._position

    @property
    def full(self) -> bool:
        """Whether fetching has to wait. One batch, however large, always has room."""
        with self._lock:
            return self._size >= self._capacity

    @property
    def dropped(self) -> Mapping[str, int]:
        """Refused groups by reason."""
        with self._lock:
            return dict(self._dropped)

    def put(self, cursor: int, batch: SignedBatch, size: int) -> None:
        """Adds a batch that came as `size` bytes."""
        with self._lock:
            self._position = cursor
            self._entries.append(_Entry(cursor, size, batch))
            self._size += size

    def skip(self, cursor: int) -> None:
        """Moves past a message that is of no interest."""
        with self._lock:
            self._position = cursor

    def refuse(self, cursor: int, reason: str, groups: int) -> None:
        """Moves past a message that failed a check."""
        with self._lock:
            self._position = cursor
            self._dropped[reason] += groups

    def take(self, after: int) -> list[tuple[int, SignedBatch]]:
        """What has a cursor above `after`; what has not is forgotten."""
        with self._lock:
            if self._position is None:
                self._position = after
            while self._entries and self._entries[0].cursor <= after:
                self._size -= self._entries.popleft().size
            return [(entry.cursor, entry.batch) for entry in self._entries]
