"""What the API server's own log says that a service account wrote."""

import json
from collections import Counter
from pathlib import Path


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
