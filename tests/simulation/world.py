"""What the machine acts on: the control plane, the operator behind its proxy, and the witness of it all."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from hack.simulation.api import Api, Object, connect
from hack.simulation.plane import Plane, operator_account, provide_volumes, recycle_volumes, remove_volumes
from tests.cluster.operator_process import OperatorProcess
from tests.simulation.background import Background
from tests.simulation.proxy import Fault, Proxy, point_at
from tests.simulation.wanted import Objects
from tests.simulation.witness import Witness

VOLUMES = 60
LOOK_SECONDS = 0.25
#: Short, so that a killed operator's successor need not wait for long.
LEASE = {"durationSeconds": 3, "renewSeconds": 1}
PORT = 29_300


#: Several worlds may share a control plane, one after the other.
_SERIAL = count(1)


class World:
    """All of it, for steps that are plain functions."""

    def __init__(self, plane: Plane, background: Background, api: Api, proxy: Proxy, folder: Path) -> None:
        self._plane, self._background, self._api, self._proxy, self._folder = plane, background, api, proxy, folder
        self._witness = Witness(api, proxy.asked)
        self._trace: deque[str] = deque(maxlen=60)
        self._operator: OperatorProcess | None = None
        self.starts = 0
        folder.joinpath("kubeconfig").write_text(point_at(operator_account(plane).read_text(), proxy.url))
        settings = {"images": {"worker": "simulated:none"}, "lease": LEASE, "statusPollSeconds": 2}
        folder.joinpath("operator.yaml").write_text(yaml.safe_dump(settings))
        background.call(self._witness.watch())
        self.keep_running()

    # --- the operator ----------------------------------------------------------------------------------------
    def keep_running(self) -> None:
        """Starts an operator where none runs, as a kubelet does."""
        if self._operator is None or not self._operator.runs():
            self.starts += 1
            name, log = f"operator-{self.starts}", self._folder / "operator.log"
            kubeconfig, config = self._folder / "kubeconfig", self._folder / "operator.yaml"
            self._operator = OperatorProcess(kubeconfig, config, log, name, PORT + self.starts % 50)

    def kill(self) -> None:
        """SIGKILL; another one starts at once."""
        assert self._operator is not None
        self._operator.kill()
        self.keep_running()

    def stop(self) -> None:
        """Ends the operator."""
        if self._operator is not None:
            self._operator.kill()

    def log(self) -> str:
        """The last that was done, and the last that the operator and kwok said."""
        logs = (self._folder / "operator.log", self._plane.layout.logs / "kwok.log")
        said = [line for log in logs for line in log.read_text().splitlines()[-20:]]
        return "\n".join(["", *self._trace, *said])

    def trace(self, what: str) -> None:
        """Notes what was done."""
        self._trace.append(f"{time.monotonic():.1f} {what}")

    # --- the API ---------------------------------------------------------------------------------------------
    def plant(self, fault: Fault, count: int) -> None:
        """The operator's next so many requests meet a fault."""
        self._background.call(self._proxy.plant(fault, count))

    def plant_everywhere(self, fault: Fault) -> None:
        """Each of the operator's requests that differs from those before meets a fault, once."""
        self._background.call(self._proxy.plant_everywhere(fault))

    def cut_watches(self) -> None:
        """The operator's watches end."""
        self._background.call(self._proxy.cut_watches())

    def refuse_watches(self, plural: str) -> None:
        """Of one resource the operator hears nothing any more."""
        self._background.call(self._proxy.refuse_watches(plural))

    def hold(self, plural: str) -> None:
        """The operator's changes of one resource wait until all is healed."""
        self._background.call(self._proxy.hold(plural))

    @property
    def waiting(self) -> int:
        """Changes that wait, or have waited."""
        return self._proxy.waiting

    def part(self, seconds: float) -> None:
        """The operator and the API server don't hear of each other for a while."""
        self._background.call(self._proxy.part(True))
        time.sleep(seconds)
        self._background.call(self._proxy.part(False))

    def heal(self) -> None:
        """No faults any more, free volumes, an operator that runs."""
        self._background.call(self._proxy.heal())
        self._background.call(recycle_volumes(self._api))
        self.keep_running()

    def send(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Object:
        """One request as administrator."""
        return self._background.call(self._api.send(method, path, body, kind))

    def namespace(self) -> str:
        """A new namespace; what was seen of those before is forgotten."""
        name = f"machine-{next(_SERIAL)}"
        self._witness.forget()
        self.send("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        return name

    def objects(self, namespace: str, kinds: dict[str, str]) -> Objects:
        """All objects of a namespace; `kinds`: their collections' paths."""

        async def read() -> list[list[Object]]:
            return await asyncio.gather(*(self._api.items(path.format(namespace)) for path in kinds.values()))

        lists = self._background.call(read())
        return {
            (kind, each["metadata"]["name"]): each for kind, items in zip(kinds, lists, strict=True) for each in items
        }

    def until(self, holds: Callable[[], bool], seconds: float) -> None:
        """Looks until it holds. Raises TimeoutError."""
        end = time.monotonic() + seconds
        recycled = time.monotonic()
        while not holds():
            self.keep_running()
            if time.monotonic() > end:
                raise TimeoutError(f"not within {seconds:g} s; {self.met}; {self.log()}")
            if time.monotonic() - recycled > 1:  # claims that were deleted have left their volumes behind
                self._background.call(recycle_volumes(self._api))
                recycled = time.monotonic()
            time.sleep(LOOK_SECONDS)

    def ungrounded(self, namespace: str) -> list[str]:
        """Where Ready was claimed without ground."""
        return self._witness.ungrounded(namespace)

    @property
    def gaps(self) -> int:
        """How often the witness missed writes."""
        return len(self._witness.gaps)

    @property
    def met(self) -> dict[str, int]:
        """Faults that the operator's requests have met."""
        return {fault.name: count for fault, count in self._proxy.met.items()}


@contextmanager
def world(plane: Plane, folder: Path) -> Iterator[World]:
    """Starts all of it but the control plane, and ends it."""
    background, stack = Background(), AsyncExitStack()
    proxy = Proxy(plane.layout)
    made: World | None = None
    try:
        api = background.call(stack.enter_async_context(connect(plane.layout)))
        # Names of its own: what a world before has left is not gone before its claims are.
        background.call(provide_volumes(api, VOLUMES, folder.name.replace("_", "-")))
        background.call(proxy.start())
        stack.push_async_callback(proxy.stop)
        made = World(plane, background, api, proxy, folder)
        yield made
        background.call(remove_volumes(api))
    finally:
        if made is not None:
            made.stop()
        background.call(stack.aclose())
        background.stop()
