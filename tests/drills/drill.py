"""What is broken in a drill, and how long it takes until the Node trains and attests again."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.swarms import SYSTEM, Cluster, Object, condition, is_true

HEAD, NODE = "drill-0-head-0", "drill-0"
RESULTS = Path(__file__).parents[2] / "build" / "drills.json"
#: For a head pod to be there and to train: Ray, an engine and the learner start in it.
START_SECONDS = 400.0
#: So many rounds more than the status shows are rounds of after the drill: it lags behind by a few seconds.
MORE_ROUNDS = 10


@dataclass(frozen=True)
class Drill:
    """The Node that the drills are about."""

    cluster: Cluster

    def start_afresh(self) -> None:
        """Replaces the head pod if one of its containers has ended before; returns once rounds are trained."""
        pods = [pod for pod in self.cluster.objects("pods") if pod["metadata"]["name"] == HEAD]
        if any(each["restartCount"] for pod in pods for each in _containers(pod)):
            self.cluster.kubectl("delete", "pod", HEAD, "-n", self.cluster.namespace, "--timeout=120s")
        self.cluster.wait("swarmnodes", NODE, is_true("Ready"), START_SECONDS)
        self.trains(START_SECONDS)

    def trains(self, seconds: float) -> None:
        """Waits until the Node is Ready and has trained more rounds than its status shows now."""
        reached = self.round()
        self.cluster.wait(
            "swarmnodes", NODE, lambda n: is_true("Ready")(n) and _round(n) >= reached + MORE_ROUNDS, seconds
        )

    def attests(self, seconds: float) -> None:
        """Waits until the chain has more of the Node's rounds than its status shows now."""
        known = self.node()["status"].get("attestedRounds", 0)
        self.cluster.wait("swarmnodes", NODE, lambda n: n["status"].get("attestedRounds", 0) > known, seconds)

    def node(self) -> Object:
        """The Node."""
        return self.cluster.get("swarmnodes", NODE)

    def round(self) -> int:
        """The last finished round by its status."""
        return _round(self.node())

    def restarts(self) -> dict[str, int]:
        """Of the head pod's containers."""
        return {each["name"]: each["restartCount"] for each in _containers(self.cluster.get("pod", HEAD))}

    def volume(self) -> Path:
        """The directory behind the Node's claim, on this machine."""
        claim = self.cluster.get("pvc", "drill-0-data")
        return self.cluster.layout.volumes / Path(self._volume(claim)["spec"]["local"]["path"]).name

    def _volume(self, claim: Object) -> Object:
        return json.loads(self.cluster.kubectl("get", "pv", claim["spec"]["volumeName"], "-o", "json"))

    def pod_of(self, component: str) -> str:
        """A pod of the chart's."""
        selector = f"app.kubernetes.io/component={component}"
        return Cluster(self.cluster.layout, SYSTEM).objects("pods", selector)[0]["metadata"]["name"]

    def kill_system(self, component: str, container: str) -> None:
        """SIGKILL to a container of the chart's."""
        Cluster(self.cluster.layout, SYSTEM).sigkill(self.pod_of(component), container)


@contextmanager
def recovery(what: str, within: float) -> Iterator[None]:
    """Measures the block, which ends with the recovery, and fails if it took longer than `within` seconds."""
    began = time.monotonic()
    yield
    seconds = time.monotonic() - began
    RESULTS.parent.mkdir(exist_ok=True)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps({**known, what: {"seconds": round(seconds, 1), "within": within}}, indent=1) + "\n")
    assert seconds <= within, f"{what}: back after {seconds:.0f} s, not within {within:g}"


def degraded(reason: str, *words: str) -> Callable[[Object], bool]:
    """Whether a Node gives that reason and says these words."""

    def holds(node: Object) -> bool:
        found = condition(node, "Degraded")
        return found.get("reason") == reason and all(word in found.get("message", "") for word in words)

    return holds


def _containers(pod: Object) -> list[Object]:
    return [*pod["status"].get("containerStatuses", []), *pod["status"].get("initContainerStatuses", [])]


def _round(node: Object) -> int:
    return node.get("status", {}).get("round", 0)
