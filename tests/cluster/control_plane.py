"""A real control plane for tests: etcd, API server, controller manager, scheduler; no kubelet. And what talks to it."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from tests.cluster.reader import Reader

ROOT = Path(__file__).parents[2]
T = TypeVar("T")
#: How much slower than when it is free a machine may be, before that fails a test.
SLOWNESS = 4


class Refusal(AssertionError):
    """kubectl's refusal; the message is what a user reads."""


def until(look: Callable[[], T | None], seconds: float, what: str) -> T:
    """Looks again and again until there is something; fails with `what` after `seconds` on a machine that is free."""
    end = time.monotonic() + seconds * SLOWNESS
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds * SLOWNESS:g} s in vain: {what}")
        time.sleep(0.1)


class ControlPlane:
    """The running control plane."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.kubeconfig = state / "admin.kubeconfig"
        server = yaml.safe_load(self.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        self._reader = Reader(state / "pki", int(server.rpartition(":")[2]))

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """kubectl's output; raises Refusal with what it says."""
        command = [str(self.state / "bin" / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise Refusal(done.stderr.strip())
        return done.stdout

    def version(self) -> str:
        """The API server's, such as v1.37.2."""
        return json.loads(self.kubectl("get", "--raw", "/version"))["gitVersion"]

    def apply(self, *manifests: dict[str, Any]) -> None:
        """kubectl apply."""
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def create_raw(self, path: str, body: dict[str, Any]) -> None:
        """Posts to a path, such as a subresource's."""
        self.kubectl("create", f"--raw={path}", "-f", "-", stdin=json.dumps(body))

    def get(self, namespace: str, kind: str, name: str) -> dict[str, Any] | None:
        """One object, or None."""
        return self._reader.get(namespace, kind, name)

    def items(self, namespace: str, kinds: str) -> list[dict[str, Any]]:
        """All objects of some kinds (comma separated)."""
        return [item for kind in kinds.split(",") for item in self._reader.items(namespace, kind)]

    def names(self, namespace: str, kinds: str) -> set[str]:
        """kind/name of all objects of some kinds."""
        return {f"{item['kind']}/{item['metadata']['name']}" for item in self.items(namespace, kinds)}

    def patch(self, namespace: str, kind: str, name: str, patch: dict[str, Any], *more: str) -> None:
        """A merge patch."""
        self.kubectl("-n", namespace, "patch", kind, name, "--type=merge", "-p", json.dumps(patch), *more)

    def warned(self, namespace: str, reason: str) -> set[str]:
        """The kinds of objects that a warning of that reason was written of: a moment after their status."""
        events = self.items(namespace, "events")
        return {
            each["involvedObject"]["kind"] for each in events if (each["type"], each["reason"]) == ("Warning", reason)
        }

    def condition(self, namespace: str, kind: str, name: str, type: str) -> dict[str, Any] | None:
        """A condition of an object's status."""
        status = (self.get(namespace, kind, name) or {}).get("status", {})
        return next((each for each in status.get("conditions", []) if each["type"] == type), None)

    def reason(self, namespace: str, kind: str, name: str, type: str, reason: str) -> dict[str, Any] | None:
        """A condition, if it gives that reason."""
        found = self.condition(namespace, kind, name, type)
        return found if found and found["reason"] == reason else None

    def provide_volumes(self, prefix: str, count: int) -> None:
        """Volumes for claims: there is no provisioner, and a Node whose claim is not bound is never ready."""
        spec = {
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "",
            "hostPath": {"path": "/nowhere"},
        }
        volume = {"apiVersion": "v1", "kind": "PersistentVolume", "spec": spec}
        self.apply(*({**volume, "metadata": {"name": f"{prefix}-{index}"}} for index in range(count)))

    def set_pod(self, namespace: str, name: str, status: dict[str, Any]) -> None:
        """Says of a pod what a kubelet would."""
        self.patch(namespace, "pod", name, {"status": status}, "--subresource=status")

    def run_pod(self, namespace: str, name: str, address: str = "127.0.0.1", ready: bool = True) -> None:
        """Says that a pod runs at an address."""
        pod = self.get(namespace, "pod", name)
        assert pod is not None
        spec, state = pod["spec"], {"running": {"startedAt": "2030-01-01T00:00:00Z"}}

        def containers(field: str) -> list[dict[str, Any]]:
            return [
                {"name": c["name"], "image": c["image"], "imageID": "", "ready": ready, "started": True,
                 "restartCount": 0, "state": state}
                for c in spec.get(field, [])
            ]  # fmt: skip

        conditions = [
            {"type": kind, "status": "True" if ready or kind == "PodScheduled" else "False"}
            for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
        ]
        self.set_pod(
            namespace,
            name,
            {
                "phase": "Running",
                "podIP": address,
                "podIPs": [{"ip": address}],
                "conditions": conditions,
                "initContainerStatuses": containers("initContainers"),
                "containerStatuses": containers("containers"),
            },
        )

    def requests(self, user: str = "operator") -> list[dict[str, Any]]:
        """The audit log's requests by a user (a service account's name)."""
        lines = (self.state / "logs" / "audit.log").read_text().splitlines()
        events = (json.loads(line) for line in lines)
        return [event for event in events if event["user"].get("username", "").endswith(f":{user}")]

    def writes(self, user: str = "operator") -> list[dict[str, Any]]:
        """Its writes."""
        return [event for event in self.requests(user) if event["verb"] not in ("get", "list", "watch")]
