"""What Nodes' keys were sent in the last 24 hours, in a ConfigMap: a restart, or another leader, grants no new budget.

The chain can't be asked for it: plain transfers are in no event, and most nodes keep no balances of yesterday.
"""

import asyncio
import json
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from kubeswarm_api.errors import KubeSwarmError
from kubeswarm_api.names import APP_LABEL, FIELD_MANAGER, MANAGED_BY_LABEL
from kubeswarm_operator.decide.funding import Booking, recent
from kubeswarm_operator.kube import ApiError, Kube, NotLeader
from kubeswarm_operator.resources import CONFIG_MAPS, Object

#: Seconds that the chain's thread waits for the API server, which answers within 10.
WAIT_SECONDS = 20.0
_KEY = "transfers.json"
T = TypeVar("T")


class SpendingUnknown(KubeSwarmError):
    """What was spent can't be read or booked now, so nothing may be spent. The message says why."""


class Spending:
    """The bookings in the ConfigMap `name`. Its methods are for threads other than the event loop's.

    They raise SpendingUnknown.
    """

    def __init__(self, kube: Kube, namespace: str, name: str) -> None:
        self._kube, self._namespace, self._name = kube, namespace, name
        self._loop = asyncio.get_running_loop()

    def total(self) -> int:
        """Wei in the last 24 hours."""
        bookings, _ = self._wait(self._read())
        return sum(booking.wei for booking in bookings)

    def book(self, wei: int) -> None:
        """Adds a transfer. Call it before sending: what is sent and not booked would be spent twice."""
        self._wait(self._add(wei))

    async def _read(self) -> tuple[tuple[Booking, ...], str | None]:
        """The bookings that count, and the version that they were read at."""
        live = await self._kube.get(CONFIG_MAPS, self._namespace, self._name)
        if live is None:
            return (), None
        try:
            said = json.loads((live.get("data") or {}).get(_KEY, "[]"))
            bookings = tuple(Booking(at=int(at), wei=int(wei)) for at, wei in said)
        except (ValueError, TypeError) as error:
            raise SpendingUnknown(f"ConfigMap {self._name} is damaged: delete it to begin a new day") from error
        return recent(bookings, time.time()), live["metadata"]["resourceVersion"]

    async def _add(self, wei: int) -> None:
        bookings, version = await self._read()
        made = [*bookings, Booking(at=int(time.time()), wei=wei)]
        meta: Object = {"name": self._name, "namespace": self._namespace}
        if version is not None:
            meta["resourceVersion"] = version  # whoever wrote meanwhile is not overwritten
        meta["labels"] = {APP_LABEL: "kubeswarm", MANAGED_BY_LABEL: FIELD_MANAGER}
        data = {_KEY: json.dumps([[booking.at, str(booking.wei)] for booking in made])}
        await self._kube.apply({"apiVersion": "v1", "kind": CONFIG_MAPS.kind, "metadata": meta, "data": data})

    def _wait(self, what: Coroutine[Any, Any, T]) -> T:
        try:
            return asyncio.run_coroutine_threadsafe(what, self._loop).result(WAIT_SECONDS)
        except (ApiError, NotLeader, TimeoutError) as error:
            raise SpendingUnknown(f"ConfigMap {self._name}: {error or 'no answer'}") from error
