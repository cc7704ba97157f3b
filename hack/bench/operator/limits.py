"""Holds a process to a container's limits, by control groups as a kubelet does; the caller has to be root."""

import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
PERIOD = 100_000
CGROUP = "kubeswarm-bench"
#: Seconds that the kernel may take to let go of a group whose processes have ended, of which it sends no word.
PATIENCE = 30.0


@dataclass(frozen=True)
class Limits:
    """cores: of CPU time, None for as much as there is. memory: bytes."""

    cores: float | None
    memory: int

    def hold(self, pid: int) -> None:
        """From now on the process, and what it starts, is under these limits, until `lifted` ends."""
        for folder, files in self._files().items():
            folder.mkdir(exist_ok=True)
            for name, value in files.items():
                (folder / name).write_text(value)
            (folder / "cgroup.procs").write_text(str(pid))

    def _files(self) -> dict[Path, dict[str, str]]:
        quota = None if self.cores is None else int(self.cores * PERIOD)
        if (CGROUPS / "cgroup.controllers").exists():
            cpu = {} if quota is None else {"cpu.max": f"{quota} {PERIOD}"}
            return {CGROUPS / CGROUP: {"memory.max": str(self.memory), **cpu}}
        cpu = {} if quota is None else {"cpu.cfs_period_us": str(PERIOD), "cpu.cfs_quota_us": str(quota)}
        return {CGROUPS / "cpu" / CGROUP: cpu, CGROUPS / "memory" / CGROUP: {"memory.limit_in_bytes": str(self.memory)}}


@contextmanager
def lifted() -> Iterator[None]:
    """Lifts all limits at the end; the processes under them have ended by then."""
    try:
        yield
    finally:
        for folder in (CGROUPS / CGROUP, CGROUPS / "cpu" / CGROUP, CGROUPS / "memory" / CGROUP):
            if folder.exists():
                _remove(folder)


def _remove(folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            folder.rmdir()
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
