"""The quiet after the demo: that the operator writes nothing but its Lease, counted from the API server's audit log."""

import json
import time
from datetime import UTC, datetime

from hack import audit
from hack.cluster.layout import REPOSITORY
from hack.console import Problem, say
from hack.demo import chart, objects
from hack.demo.target import Target

PATH = REPOSITORY / "build" / "steady.json"
LEASE_WRITES = {"update leases", "patch leases"}
#: The Lease is renewed at least this often: fewer writes would mean that nobody watched.
RENEWED_SECONDS = 30
PROGRESS_SECONDS = 60.0


def watch(target: Target, minutes: float) -> None:
    """Counts for that long from now on; the result is printed and written as JSON.

    Raises Problem when the operator wrote anything else, when it wrote nothing at all, when the demo's Swarm is not
    complete, or on a cluster whose audit log is out of reach.
    """
    if target.layout is None:
        raise Problem("the audit log of this cluster is not on this machine: unset KUBECONFIG to use the local one")
    if not objects.cluster(target).swarm(objects.SWARM).complete:
        raise Problem(f"Swarm {objects.SWARM} is not complete: `make demo` first")
    begin = time.monotonic()
    since = datetime.now(UTC).isoformat()
    seconds = 60 * minutes
    counted = {}
    while (left := begin + seconds - time.monotonic()) > 0:
        time.sleep(min(left, PROGRESS_SECONDS))
        counted = dict(audit.writes(target.layout.audit_log, f"{chart.NAMESPACE}:{chart.RELEASE}", since))
        say(f"{time.monotonic() - begin:.0f} of {seconds:.0f} s: {_told(counted)}")
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(json.dumps({"since": since, "seconds": seconds, "writes": counted}, indent=1) + "\n")
    other = {what: count for what, count in counted.items() if what not in LEASE_WRITES}
    if other:
        raise Problem(f"the operator wrote in the steady state: {_told(other)}")
    if sum(counted.values()) < seconds / RENEWED_SECONDS:
        raise Problem("the operator did not renew its Lease: `kubectl -n kubeswarm-system get pods,lease`")


def _told(writes: dict[str, int]) -> str:
    return ", ".join(f"{count} x {what}" for what, count in sorted(writes.items())) or "no write"
