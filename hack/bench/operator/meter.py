"""What processes use, and which requests they make: from /proc and from the API server's audit log."""

import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
WRITES = ("create", "update", "patch", "delete", "deletecollection")


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used, its ended children's too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def peak_bytes(pid: int) -> int:
    """The most memory that a process has held at a time."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


@dataclass
class AuditLog:
    """Requests of one account since a mark."""

    path: Path
    user: str

    def mark(self) -> int:
        """Where the log ends now."""
        return self.path.stat().st_size

    def since(self, mark: int) -> Counter[tuple[str, str]]:
        """Requests by (verb, resource with its subresource), without watches and the Lease."""
        found: Counter[tuple[str, str]] = Counter()
        with self.path.open("rb") as log:
            log.seek(mark)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                event = json.loads(line)
                target = event.get("objectRef") or {}
                resource = "/".join(filter(None, (target.get("resource", "none"), target.get("subresource"))))
                ours = event["user"].get("username", "").endswith(f":{self.user}")
                if ours and event["verb"] != "watch" and resource != "leases":
                    found[event["verb"], resource] += 1
        return found


def writes(requests: Counter[tuple[str, str]]) -> int:
    """How many of them write."""
    return sum(count for (verb, _), count in requests.items() if verb in WRITES)
