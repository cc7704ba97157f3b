"""Pods and Events of a Swarm or a Node, as a person wants to see them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Pod:
    """A pod with what its containers are doing."""

    name: str
    phase: str
    ready: str  # such as 1/2
    restarts: int
    machine: str
    doing: str  # of its containers that aren't simply running

    @classmethod
    def parse(cls, item: dict[str, Any]) -> "Pod":
        status = item.get("status", {})
        containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
        going = "deletionTimestamp" in item["metadata"]
        return cls(
            name=item["metadata"]["name"],
            phase="Terminating" if going else status.get("phase", "Unknown"),
            ready=f"{sum(bool(each.get('ready')) for each in containers)}/{len(containers)}",
            restarts=sum(each.get("restartCount", 0) for each in containers),
            machine=item.get("spec", {}).get("nodeName") or "",
            doing="; ".join(filter(None, map(_doing, containers))) or _unscheduled(status),
        )


def _doing(container: dict[str, Any]) -> str:
    state = container.get("state") or {}
    last = (container.get("lastState") or {}).get("terminated")
    if "running" in state:
        return f"{container['name']}: ended before with exit code {last['exitCode']}" if last else ""
    found = state.get("waiting") or state.get("terminated") or {}
    return f"{container['name']}: {found.get('reason', 'unknown')} {found.get('message', '')[:200]}".strip()


def _unscheduled(status: dict[str, Any]) -> str:
    conditions = status.get("conditions") or []
    return next((each.get("message", "") for each in conditions if each.get("reason") == "Unschedulable"), "")


@dataclass(frozen=True)
class Event:
    """An Event of Kubernetes."""

    at: datetime
    about: str  # kind/name
    type: str
    reason: str
    message: str
    count: int

    @classmethod
    def parse(cls, item: dict[str, Any]) -> "Event":
        about = item["involvedObject"]
        at = item.get("lastTimestamp") or item.get("eventTime") or item.get("firstTimestamp")
        return cls(
            at=datetime.fromisoformat(at) if at else datetime.fromtimestamp(0, UTC),
            about=f"{about.get('kind', '')}/{about.get('name', '')}",
            type=item.get("type", ""),
            reason=item.get("reason", ""),
            message=item.get("message", ""),
            count=item.get("count") or 1,
        )

    def is_about(self, swarm: str, nodes: list[str]) -> bool:
        """Whether it is about the Swarm, one of its Nodes, or an object of theirs, whose names begin with theirs."""
        name = self.about.partition("/")[2]
        return name in (swarm, *nodes) or any(name.startswith(f"{node}-") for node in nodes)
