"""From objects to typed specs and statuses, each parsed once a version: that is what a pass would cost most."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from kubeswarm_api.node import NodeSpec, NodeStatus
from kubeswarm_api.swarm import SwarmSpec, SwarmStatus
from kubeswarm_operator.resources import Object

#: Parsed values that are remembered, of each kind.
REMEMBERED = 20_000

Spec = TypeVar("Spec", SwarmSpec, NodeSpec)
Status = TypeVar("Status", SwarmStatus, NodeStatus)
T = TypeVar("T")


class Memo(Generic[T]):
    """The last value by uid, while its version stays the same; bounded."""

    def __init__(self, size: int = REMEMBERED) -> None:
        self._size = size
        self._values: OrderedDict[str, tuple[Any, T]] = OrderedDict()

    def get(self, uid: str, version: Any, make: Callable[[], T]) -> T:
        """The value of that version, made if it isn't remembered."""
        known = self._values.get(uid)
        if known is not None and known[0] == version:
            return known[1]
        value = make()
        self.put(uid, version, value)
        return value

    def has(self, uid: str, version: Any) -> bool:
        """Whether a value of that version is remembered."""
        known = self._values.get(uid)
        return known is not None and known[0] == version

    def put(self, uid: str, version: Any, value: T) -> None:
        """Remembers a value that is known already."""
        self._values[uid] = (version, value)
        self._values.move_to_end(uid)
        if len(self._values) > self._size:
            self._values.popitem(last=False)


_specs: Memo[tuple[Any, str]] = Memo()
_statuses: Memo[Any] = Memo()


def parse_spec(kind: type[Spec], live: Object) -> tuple[Spec | None, str]:
    """The typed spec, or None with a message that names the fields that are wrong."""
    meta = live["metadata"]
    if "resourceVersion" not in meta:
        return _parse_spec(kind, live)
    return _specs.get(meta["uid"], meta["generation"], lambda: _parse_spec(kind, live))


def _parse_spec(kind: type[Spec], live: Object) -> tuple[Spec | None, str]:
    try:
        return kind.model_validate(live.get("spec") or {}), ""
    except ValidationError as error:
        problems = [
            f"spec.{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        ]
        return None, "; ".join(problems[:8])[:2000]


def parse_status(kind: type[Status], live: Object) -> Status:
    """The typed status, without what it doesn't know or can't use: another version may have written it.

    What it can use stays: it is the only memory of what pods did that are gone.
    """
    meta = live["metadata"]
    if "resourceVersion" not in meta:
        return _parse_status(kind, live)
    return _statuses.get(meta["uid"], meta["resourceVersion"], lambda: _parse_status(kind, live))


def wrote_status(answer: Object, status: SwarmStatus | NodeStatus) -> None:
    """Remembers the status that the API server's answer holds, because it was just written."""
    meta = answer["metadata"]
    _statuses.put(meta["uid"], meta["resourceVersion"], status)


def _parse_status(kind: type[Status], live: Object) -> Status:
    fields: dict[str, Any] = dict(live.get("status") or {})
    while True:
        try:
            return kind.model_validate(fields, extra="ignore")
        except ValidationError as error:
            _drop(fields, error.errors(include_url=False)[0]["loc"])


def _drop(fields: dict[str, Any], place: tuple[int | str, ...]) -> None:
    """Takes the field that is wrong away; of a list, the item. Every field of a status may be absent."""
    name = str(place[0])
    value = fields[name]
    if len(place) > 1 and isinstance(value, list) and isinstance(place[1], int):
        fields[name] = [item for index, item in enumerate(value) if index != place[1]]
    else:
        del fields[name]
