"""What the API server's own log says of who asked it for what."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WRITES = ("create", "update", "patch", "delete", "deletecollection")
#: Requests by (verb, resource with its subresource).
Requests = Counter[tuple[str, str]]


def writes(audit_log: Path, account: str, since: str, until: str | None = None) -> Counter[str]:
    """Writes by verb and resource, such as "update leases", of the service accounts whose names begin with `account`.

    `account`: namespace:name. `since`, `until`: RFC 3339 in UTC, as in the log. Reads are not in the log.
    """
    found: Counter[str] = Counter()
    for path in sorted(audit_log.parent.glob(f"{audit_log.stem}*{audit_log.suffix}")):  # rotated parts too
        for line in path.read_text().splitlines():
            event = json.loads(line)
            received = event["requestReceivedTimestamp"]
            mine = event["user"].get("username", "").startswith(f"system:serviceaccount:{account}")
            if mine and received > since and (until is None or received <= until):
                found[f"{event['verb']} {event['objectRef']['resource']}"] += 1
    return found


@dataclass(frozen=True)
class AuditLog:
    """Requests of one service account since a mark, reads too: for accounts of the namespace whose reads are logged."""

    path: Path
    user: str

    def mark(self) -> int:
        """Where the log ends now."""
        return self.path.stat().st_size

    def events(self, mark: int) -> Iterator[dict[str, Any]]:
        """The account's requests since a mark, as the log has them."""
        return (each for each in self._all(mark) if each["user"].get("username", "").endswith(f":{self.user}"))

    def writes_of_all(self, mark: int) -> int:
        """How often anybody has written since a mark: Kubernetes' own controllers too."""
        return sum(each["verb"] in WRITES for each in self._all(mark))

    def _all(self, mark: int) -> Iterator[dict[str, Any]]:
        with self.path.open("rb") as log:
            log.seek(mark)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                yield json.loads(line)

    def since(self, mark: int) -> Requests:
        """Requests since a mark, without watches and the Lease."""
        found: Requests = Counter()
        for event in self.events(mark):
            target = event.get("objectRef") or {}
            resource = "/".join(filter(None, (target.get("resource", "none"), target.get("subresource"))))
            if event["verb"] != "watch" and resource != "leases":
                found[event["verb"], resource] += 1
        return found


def written(requests: Requests) -> int:
    """How many of them write."""
    return sum(count for (verb, _), count in requests.items() if verb in WRITES)
