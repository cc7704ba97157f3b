"""Leader election by a Lease. Who can't be sure of holding it, does not write.

The other replica's clock is never trusted: a Lease counts as free when it has not changed for its whole duration by
this replica's own clock. The holder's right to write ends before that, counted from when its last renewal was sent.
"""

import asyncio
import logging
import time
from datetime import UTC, datetime

from kubeswarm_api.operator_config import LeaseSettings
from kubeswarm_operator import telemetry
from kubeswarm_operator.kube import ApiError, Conflict, Kube, NotFound
from kubeswarm_operator.resources import LEASES, Object

log = logging.getLogger(__name__)
#: Share of the duration for which a renewal lets its holder write; the rest covers requests under way.
SAFE_SHARE = 0.8


def _micro_time() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Lease:
    """This replica's hold on the Lease."""

    def __init__(self, settings: LeaseSettings, namespace: str, identity: str) -> None:
        self._settings = settings
        self._namespace = namespace
        self._identity = identity
        self._safe_until = float("-inf")
        self._held = asyncio.Event()
        self._seen: tuple[str, float] = ("", float("-inf"))  # resourceVersion, when it was first seen
        self._mine: Object | None = None  # the Lease as this replica wrote it last

    def write_seconds(self) -> float:
        """Seconds for which this replica may still write; 0 or less: not at all."""
        return self._safe_until - time.monotonic()

    async def held(self) -> None:
        """Waits until this replica holds the Lease."""
        while self.write_seconds() <= 0:
            self._held.clear()
            await self._held.wait()

    async def keep(self, kube: Kube) -> None:
        """Takes and renews the Lease for ever. Returns when it was lost: the process must then end."""
        leading = False
        while True:
            started = time.monotonic()
            try:
                got = await self._step(kube)
            except ApiError as error:
                log.warning("the Lease could not be renewed or taken", extra={"detail": str(error)[:300]})
                got = None
            if got:
                self._safe_until = started + self._settings.duration_seconds * SAFE_SHARE
                self._held.set()
                if not leading:
                    log.info("this replica leads", extra={"identity": self._identity})
            telemetry.LEADER.set(1 if self.write_seconds() > 0 else 0)
            if leading and (got is False or self.write_seconds() <= 0):
                log.error("the Lease was lost: this replica ends", extra={"identity": self._identity})
                self._safe_until = float("-inf")
                return
            leading = leading or bool(got)
            await asyncio.sleep(self._settings.renew_seconds if got else self._until_free())

    def _until_free(self) -> float:
        """Seconds until it is worth looking again: 2 at most, and not long after the Lease has run out."""
        left = self._seen[1] + self._settings.duration_seconds - time.monotonic()
        return max(0.1, min(2.0, self._settings.renew_seconds, left + 0.05))

    async def _step(self, kube: Kube) -> bool:
        """One attempt: True if the Lease is this replica's now, False if another one holds it."""
        seconds = float(min(self._settings.renew_seconds, 5))
        lease, self._mine = self._mine, None
        if lease is None:
            lease = await kube.get_lease(self._namespace, self._settings.name, seconds)
        if lease is None:
            try:
                self._mine = await kube.create_lease(self._manifest({}, 0), seconds)
            except Conflict:
                return False
            return True
        spec = lease.get("spec", {})
        holder = spec.get("holderIdentity") or ""
        version = lease["metadata"]["resourceVersion"]
        if version != self._seen[0]:
            self._seen = (version, time.monotonic())
        free = time.monotonic() - self._seen[1] > spec.get("leaseDurationSeconds", self._settings.duration_seconds)
        if holder not in ("", self._identity) and not free:
            return False
        transitions = spec.get("leaseTransitions", 0) + (holder != self._identity)
        acquired = spec.get("acquireTime") if holder == self._identity else None
        try:
            self._mine = await kube.update_lease(self._manifest(lease["metadata"], transitions, acquired), seconds)
        except (Conflict, NotFound):
            return await self._step(kube) if holder == self._identity else False
        return True

    async def release(self, kube: Kube) -> None:
        """Gives the Lease back, so that another replica need not wait for it to run out."""
        if self.write_seconds() <= 0:
            return
        self._safe_until = float("-inf")
        try:
            lease = await kube.get_lease(self._namespace, self._settings.name, 5.0)
            if lease and lease["spec"].get("holderIdentity") == self._identity:
                lease["spec"]["holderIdentity"] = ""
                lease["metadata"].pop("managedFields", None)
                await kube.update_lease(lease, 5.0)
        except ApiError as error:
            log.warning("the Lease was not released: it runs out by itself", extra={"detail": str(error)[:300]})

    def _manifest(self, live: Object, transitions: int, acquired: str | None = None) -> Object:
        now = _micro_time()
        meta: Object = {"namespace": self._namespace, "name": self._settings.name}
        if "resourceVersion" in live:
            meta["resourceVersion"] = live["resourceVersion"]
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": meta,
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": self._settings.duration_seconds,
                "acquireTime": acquired or now,
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        }
