"""How many threads this process may use, and environment variables that make them wait without spinning for long.

Several engines and learners share a machine's cores; a thread that spins at a barrier takes time from its neighbours.
Import this, and call `limit_threads`, before torch: the OpenMP runtime reads its variables once.
"""

import math
import os
from pathlib import Path

from kubeswarm_api.names import NEIGHBOURS_ENV

#: Turns of a thread that waits at a barrier before it sleeps: between two operations of a decoding step they mostly
#: suffice (docs/benchmarks.md has a round with and without).
SPIN_COUNT = 10_000


def available() -> int:
    """Cores of this container: the smaller of its CPU set and its quota, at least 1."""
    cores = len(os.sched_getaffinity(0))
    quota = _quota()
    return max(1, min(cores, math.ceil(quota))) if quota else cores


def _quota() -> float | None:
    unified = Path("/sys/fs/cgroup/cpu.max")
    if unified.exists():
        limit, period = unified.read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    legacy = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
    if legacy.exists():
        limit = int(legacy.read_text())
        return limit / int(legacy.with_name("cpu.cfs_period_us").read_text()) if limit > 0 else None
    return None


def limit_threads() -> int:
    """Sets the OpenMP variables for this process and its children, and returns the number of threads.

    Nodes that share a bare machine (NEIGHBOURS_ENV of them) take equal parts of its cores.
    OMP_NUM_THREADS, if set already, is kept: the number of threads is part of what makes a run repeatable bit for bit.
    """
    share = max(1, available() // int(os.environ.get(NEIGHBOURS_ENV, "1")))
    count = int(os.environ.setdefault("OMP_NUM_THREADS", str(share)))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return count
