"""The cluster as the end-to-end tests see it: objects, watches, chain, audit log, and the violence done to it."""

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hack import audit
from hack.cluster.layout import Layout
from kubeswarm_api.names import INDEXER_PORT
from kubeswarm_contracts import AttestedRounds, Chain, deployment
from kubeswarm_contracts.run_log import RunLog

Object = dict[str, Any]
SYSTEM = "kubeswarm-system"


def tiny_swarm(name: str, **spec: Any) -> Object:
    """A Swarm that trains a random character model: every part is real, only the model is small."""
    task = {"name": "spell_backward", "args": {"min_word_len": 3, "max_word_len": 4}}
    defaults = {
        "nodes": 1,
        "rounds": 12,
        "seed": 7,
        "model": {"image": "docker.io/kubeswarm/tiny-qwen3:v1"},
        "environment": {
            "reasoningGym": {
                "tasks": [task],
                "shots": 0,
                "answerTags": False,
                "reward": {"format": 0, "similarity": 1, "exact": 0},
            }
        },
        "algorithm": {"prompts": 4, "groupSize": 4, "learningRate": 1e-3},
        "rollout": {"maxTokens": 8},
        "sharing": {"external": 0},
        "evaluation": {"items": 8, "every": 6},
        "storage": {"size": "1Gi"},
        "attest": {"rounds": 1, "seconds": 5},
    }
    return {
        "apiVersion": "kubeswarm.dev/v1alpha1",
        "kind": "Swarm",
        "metadata": {"name": name},
        "spec": {**defaults, **spec},
    }


def condition(obj: Object, kind: str) -> Object:
    """The condition of that type; empty where there is none yet."""
    return next((c for c in obj.get("status", {}).get("conditions", []) if c["type"] == kind), {})


def is_true(kind: str) -> Callable[[Object], bool]:
    """Whether the condition of that type is True."""
    return lambda obj: condition(obj, kind).get("status") == "True"


def gave(kind: str, *reasons: str) -> Callable[[Object], bool]:
    """Whether the condition of that type gives one of the reasons."""
    return lambda obj: condition(obj, kind).get("reason") in reasons


@dataclass(frozen=True)
class Cluster:
    """One namespace of the real cluster."""

    layout: Layout
    namespace: str

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """What kubectl prints; raises CalledProcessError with its words when it fails."""
        command = [str(self.layout.bin / "kubectl"), "--kubeconfig", str(self.layout.kubeconfig), *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=300, check=False)
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def apply(self, obj: Object) -> None:
        self.kubectl("apply", "-n", self.namespace, "-f", "-", stdin=yaml.safe_dump(obj))

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object:
        return json.loads(self.kubectl("get", kind, name, "-n", namespace or self.namespace, "-o", "json"))

    def objects(self, kind: str, selector: str = "") -> list[Object]:
        out = self.kubectl("get", kind, "-n", self.namespace, "-o", "json", *(["-l", selector] if selector else []))
        return json.loads(out)["items"]

    def patch(self, kind: str, name: str, change: Object) -> None:
        self.kubectl("patch", kind, name, "-n", self.namespace, "--type=merge", "-p", json.dumps(change))

    def wait(
        self, kind: str, name: str, holds: Callable[[Object], bool], seconds: float, namespace: str | None = None
    ) -> Object:
        """Watches one object until `holds` says so. Fails with the object's status and events after `seconds`."""
        arguments = [kind, "-n", namespace or self.namespace, "--field-selector", f"metadata.name={name}"]
        watch = subprocess.Popen(
            [
                *("timeout", str(seconds), str(self.layout.bin / "kubectl")),
                *("--kubeconfig", str(self.layout.kubeconfig), "get", *arguments, "--watch", "-o", "json"),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        last: Object = {}
        try:
            assert watch.stdout
            for last in _objects(watch.stdout):
                if holds(last):
                    return last
        finally:
            watch.kill()
            watch.wait()
        events = self.kubectl("get", "events", "-n", namespace or self.namespace, "--sort-by=.lastTimestamp")
        pods = self.kubectl("get", "pods", "-n", namespace or self.namespace, "-o", "wide")
        status = json.dumps(last.get("status"), indent=1)
        raise AssertionError(f"{kind} {name} after {seconds} s: {status}\n{pods}\n{events[-4000:]}")

    def wait_gone(self, kind: str, selector: str, seconds: int) -> None:
        self.kubectl("wait", "--for=delete", kind, "-l", selector, "-n", self.namespace, f"--timeout={seconds}s")

    def sigkill(self, pod: str, container: str) -> None:
        """SIGKILL to a container's first process, as the kernel would do it."""
        self._ctr("task", "kill", "-s", "SIGKILL", self._container(pod, container))

    def sigkill_inside(self, pod: str, container: str, name: str) -> None:
        """SIGKILL to the processes of a container whose command line has `name` in it; there must be one."""
        lines = self._ctr("task", "ps", self._container(pod, container)).splitlines()[1:]
        pids = [int(line.split()[0]) for line in lines]
        found = [pid for pid in pids if name in Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")]
        assert found, f"container {container} of pod {pod} has no process {name}"
        for pid in found:
            os.kill(pid, signal.SIGKILL)

    def _container(self, pod: str, container: str) -> str:
        status = self.get("pod", pod)["status"]
        states = [*status.get("containerStatuses", []), *status.get("initContainerStatuses", [])]
        (identity,) = [s["containerID"].removeprefix("containerd://") for s in states if s["name"] == container]
        return identity

    def _ctr(self, *arguments: str) -> str:
        ctr = [str(self.layout.bin / "ctr"), "--address", str(self.layout.containerd_socket), "-n", "k8s.io"]
        return subprocess.run([*ctr, *arguments], check=True, timeout=60, capture_output=True, text=True).stdout

    @contextmanager
    def following(self, pod: str, container: str, into: Path) -> Iterator[None]:
        """Appends a container's log to a file. kubectl itself can outlive the pod, so that it is ended at the end."""
        command = [str(self.layout.bin / "kubectl"), "--kubeconfig", str(self.layout.kubeconfig), "logs", "--follow"]
        with into.open("ab") as log:
            kubectl = subprocess.Popen([*command, pod, "-c", container, "-n", self.namespace], stdout=log)
        try:
            yield
        finally:
            kubectl.terminate()
            kubectl.wait(10)

    def restarts(self, pod: str, container: str) -> int:
        status = self.get("pod", pod)["status"]
        states = [*status.get("containerStatuses", []), *status.get("initContainerStatuses", [])]
        return next(s["restartCount"] for s in states if s["name"] == container)

    def service(self, name: str, port: int) -> str:
        """The URL of a service of the chart, by its address, which this machine reaches."""
        return f"http://{self.get('service', name, SYSTEM)['spec']['clusterIP']}:{port}"

    def chain(self) -> Chain:
        """The development chain."""
        return Chain(self.service("kubeswarm-chain", 8545), deployment(31337))

    def run_log(self) -> RunLog:
        """The log of runs that the chart's indexer serves."""
        return RunLog(self.service("kubeswarm-indexer", INDEXER_PORT), 31337)

    def attested(self, node: str) -> list[AttestedRounds]:
        """A Node's attestations, from the chain's events."""
        status = self.get("swarmnodes", node)["status"]
        return self.chain().attestations(status["swarmId"], node_id=status["nodeId"])

    def operator_writes(self, since: str) -> Counter[str]:
        """The operator's writes after `since` (RFC 3339, as in the audit log), by verb and resource."""
        return audit.writes(self.layout.audit_log, f"{SYSTEM}:kubeswarm", since)


def _objects(stream: Any) -> Any:
    """The JSON documents of kubectl's pretty-printed watch, one after another."""
    text = ""
    for line in stream:
        text += line
        if line == "}\n":
            yield json.loads(text)
            text = ""


def running(container: str, restarts: int) -> Callable[[Object], bool]:
    """Whether that container of a pod runs, and is at least that many starts old."""

    def holds(pod: Object) -> bool:
        states = [*pod["status"].get("containerStatuses", []), *pod["status"].get("initContainerStatuses", [])]
        mine = [s for s in states if s["name"] == container]
        return bool(mine) and mine[0]["restartCount"] >= restarts and "running" in mine[0]["state"]

    return holds


def losses(log: Path) -> dict[int, str]:
    """The loss of each round by a trainer's log, as hexadecimal floats: equal only if equal to the last bit."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if '"round finished"' in line]
    return {line["round"]: line["lossHex"] for line in lines}


def rounds_of(attestations: list[AttestedRounds]) -> list[int]:
    """Every attested round, once for each attestation that holds it."""
    return sorted(number for a in attestations for number in range(a.first, a.last + 1))
