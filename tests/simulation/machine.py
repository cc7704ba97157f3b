"""A machine that does to Swarms, their objects, the API and the operator what may happen to them, in any order.

After whatever it did, what is there must come to be what the specs say; Ready must never have been claimed without
ground; and what is deleted must go.
"""

import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hack.console import Problem
from hack.simulation.api import Object
from tests.cluster.control_plane import SLOWNESS
from tests.simulation.life import swarm
from tests.simulation.proxy import Fault
from tests.simulation.wanted import MANAGED, Objects, Wanted, complaints
from tests.simulation.witness import pod_ready
from tests.simulation.world import World

#: So much time goes by between two steps.
STEP_SECONDS = 0.1
#: For all to be as the specs say once nothing disturbs any more: a back-off at its longest (60 s), and passes after it.
SETTLE_SECONDS = 120.0
#: For the word of a pod that is not ready any more.
TOLD_SECONDS = 5.0 * SLOWNESS
SWARMS = ("a", "b", "c")
_GROUP = "/apis/kubeswarm.dev/v1alpha1"
_MERGE, _STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
#: Collections of a namespace, by kind.
KINDS = {
    "Swarm": f"{_GROUP}/namespaces/{{}}/swarms",
    "Node": f"{_GROUP}/namespaces/{{}}/swarmnodes",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "Service": "/api/v1/namespaces/{}/services",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "Pod": "/api/v1/namespaces/{}/pods",
}
#: What somebody may do to an object by hand.
EDITS: tuple[tuple[str, Object], ...] = (
    ("StatefulSet", {"spec": {"replicas": 0}}),
    ("StatefulSet", {"spec": {"template": {"spec": {"containers": None, "nodeSelector": {"disk": "none"}}}}}),
    ("Deployment", {"spec": {"replicas": 9}}),
    ("Service", {"spec": {"publishNotReadyAddresses": False}}),
    ("ConfigMap", {"data": {"node.json": "{}"}}),
    ("NetworkPolicy", {"spec": {"ingress": None}}),
    ("Secret", {"metadata": {"labels": {"kubeswarm.dev/node": None}}}),
    ("PodDisruptionBudget", {"spec": {"maxUnavailable": 0}}),
    ("PodDisruptionBudget", {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}),
    ("Node", {"spec": {"rounds": 3}}),
    ("Node", {"spec": {"suspend": True}}),
)
_names, _picks, _few = st.sampled_from(SWARMS), st.integers(0, 999), st.integers(0, 3)


class Machine(RuleBasedStateMachine):
    """One namespace, up to three Swarms."""

    world: ClassVar[World]  # set by the test
    steps: ClassVar[int] = 0  # of all machines
    seen: ClassVar[Counter[str]] = Counter()  # what they did

    failed: ClassVar[str] = ""  # what a machine found: no other one runs after it

    @initialize()
    def begin(self) -> None:
        assert not Machine.failed, Machine.failed
        self.swarms: dict[str, Wanted] = {}
        self.keys: dict[str, str] = {}  # of Nodes, that must outlive them
        self.namespace = self.world.namespace()
        self.create("a", 1, 1, True)  # a machine may be one that makes none: hypothesis leaves rules out at random

    # --- what its users do -----------------------------------------------------------------------------------
    @rule(name=_names, nodes=st.integers(1, 2), workers=_few, retain=st.booleans())
    def another(self, name: str, nodes: int, workers: int, retain: bool) -> None:
        self.create(name, nodes, workers, retain)

    def create(self, name: str, nodes: int, workers: int, retain: bool) -> None:
        if name not in self.swarms:
            wanted = Wanted(nodes, workers, retain)
            body = swarm(self.namespace, name, **wanted.spec())
            self._send("POST", KINDS["Swarm"], body)
            self.swarms[name] = wanted
            if not retain:  # its Nodes take the keys that others have left, and these go with them
                self.keys = {node: key for node, key in self.keys.items() if node.rpartition("-")[0] != name}
            self._note(f"create {'to retain' if retain else 'to forget'} keys")

    @precondition(lambda self: self.swarms)
    @rule(pick=_picks)
    def delete(self, pick: int) -> None:
        name = self._pick(sorted(self.swarms), pick)
        del self.swarms[name]
        self._send("DELETE", f"{KINDS['Swarm']}/{name}")
        self._gone(name)
        self._note("delete")

    @precondition(lambda self: self.swarms)
    @rule(pick=_picks, nodes=_few)
    def scale(self, pick: int, nodes: int) -> None:
        self._change(pick, nodes=nodes)

    @precondition(lambda self: self.swarms)
    @rule(pick=_picks, workers=_few)
    def scale_rollout(self, pick: int, workers: int) -> None:
        self._change(pick, workers=workers)

    @precondition(lambda self: self.swarms)
    @rule(pick=_picks, suspend=st.booleans())
    def suspend(self, pick: int, suspend: bool) -> None:
        self._change(pick, suspend=suspend)

    @precondition(lambda self: self.swarms)
    @rule(pick=_picks, rounds=st.integers(200, 203), mark=st.sampled_from("01"))
    def respecify(self, pick: int, rounds: int, mark: str) -> None:
        self._change(pick, rounds=rounds, mark=mark)

    def _change(self, pick: int, **fields: Any) -> None:
        name = self._pick(sorted(self.swarms), pick)
        for field, value in fields.items():
            setattr(self.swarms[name], field, value)
        self._send("PATCH", f"{KINDS['Swarm']}/{name}", {"spec": self.swarms[name].spec()}, _MERGE)
        self._note(f"change {'+'.join(fields)}")

    # --- what others do to its objects -----------------------------------------------------------------------
    @precondition(lambda self: self.swarms)
    @rule(pick=_picks)
    def delete_child(self, pick: int) -> None:
        children = sorted(
            what
            for what, body in self._objects().items()
            if MANAGED.items() <= (body["metadata"].get("labels") or {}).items()
            and not what[1].endswith("-identity")
            and "deletionTimestamp" not in body["metadata"]
        )
        if children:
            kind, name = self._pick(children, pick)
            self._send("DELETE", f"{KINDS[kind]}/{name}")
            self._note(f"delete {kind}")

    @precondition(lambda self: self.swarms)
    @rule(edit=st.sampled_from(EDITS), pick=_picks)
    def edit_child(self, edit: tuple[str, Object], pick: int) -> None:
        kind, patch = edit
        names = self._names(kind)
        if names:
            self._try("PATCH", f"{KINDS[kind]}/{self._pick(names, pick)}", patch, _MERGE)
            self._note(f"edit {kind}")

    @precondition(lambda self: self.swarms)
    @rule(kind=st.sampled_from(["StatefulSet", "Service", "Secret", "ConfigMap"]), pick=_picks)
    def orphan_child(self, kind: str, pick: int) -> None:
        """Taken back before its owner goes: else it would rightly stay for ever."""
        self.settle()
        names = self._names(kind)
        if names:
            path = f"{KINDS[kind]}/{self._pick(names, pick)}"
            self._send("PATCH", path, {"metadata": {"ownerReferences": None}}, _MERGE)
            self._note(f"orphan {kind}")
            self.settle()

    @precondition(lambda self: self.swarms)
    @rule(pick=_picks)
    def wound_pod(self, pick: int) -> None:
        """A pod is not ready any more: soon neither its Node nor its Swarm says that it is. Then it is replaced."""
        self.settle()
        pods = sorted(name for kind, name in self._objects() if kind == "Pod")
        if pods:
            name = self._pick(pods, pick)
            conditions = [{"type": kind, "status": "False"} for kind in ("ContainersReady", "Ready")]
            path = f"{KINDS['Pod']}/{name}"
            pod = self._try("PATCH", f"{path}/status", {"status": {"conditions": conditions}}, _STRATEGIC)
            if pod is not None:
                self._until(lambda: self._told(pod), f"its owners are Ready although pod {name} is not", TOLD_SECONDS)
                self._try("DELETE", path)
                self._note("wound")

    def _told(self, wounded: Object) -> bool:
        """Whether a pod's owners say that it is not ready. They need not once it was replaced, by a change of its
        template that came late: the next one of a StatefulSet has its name, and is ready soon."""
        objects, meta = self._objects(), wounded["metadata"]
        pod = objects.get(("Pod", meta["name"]))
        if pod is None or pod["metadata"]["uid"] != meta["uid"] or pod_ready(pod):
            self._note("wound a pod that is replaced")
            return True
        owners = [("Node", meta["labels"]["kubeswarm.dev/node"]), ("Swarm", meta["labels"]["kubeswarm.dev/swarm"])]
        return not any(_is_ready(objects[owner]) for owner in owners)

    # --- what becomes of the API and of the operator ---------------------------------------------------------
    @rule(fault=st.sampled_from(Fault), count=st.integers(1, 4))
    def plant(self, fault: Fault, count: int) -> None:
        self.world.plant(fault, count)
        self._note(f"plant {fault.name}")

    @rule()
    def cut_watches(self) -> None:
        self.world.cut_watches()
        self._note("cut watches")

    @rule(seconds=st.sampled_from([0.5, 1.0, 4.0]))
    def part(self, seconds: float) -> None:
        """Longer than the Lease lasts, or shorter."""
        self.world.part(seconds)
        self._note("part")

    @rule()
    def kill(self) -> None:
        self.world.kill()
        self._note("kill")

    # --- what must hold --------------------------------------------------------------------------------------
    @rule(luck=st.integers(0, 2))
    def rest(self, luck: int) -> None:
        if luck == 0:
            self.settle()

    def settle(self) -> None:
        """Nothing disturbs any more: all comes to be as the specs say."""
        self.world.heal()
        try:
            self.world.until(lambda: not complaints(self.swarms, self._objects()), SETTLE_SECONDS)
        except TimeoutError:
            self._fail(f"not as the specs say: {complaints(self.swarms, self._objects())}")
        self._keys_are_kept()
        self._note("settle")

    def _keys_are_kept(self) -> None:
        for (kind, name), body in self._objects().items():
            node, _, what = name.rpartition("-")
            owner = self.swarms.get(node.rpartition("-")[0])
            if kind == "Secret" and what == "identity" and owner is not None and owner.retain:
                key = self.keys.setdefault(node, body["data"]["key"])
                if key != body["data"]["key"]:
                    self._fail(f"Node {node} has lost its key")

    def _gone(self, name: str) -> None:
        """A Swarm's name is used again only when the one before is gone."""
        self._until(lambda: ("Swarm", name) not in self._objects(), f"the deletion of Swarm {name} does not end")

    def _until(self, holds: Callable[[], bool], otherwise: str, seconds: float = SETTLE_SECONDS) -> None:
        try:
            self.world.until(holds, seconds)
        except TimeoutError:
            self._fail(otherwise)

    def _fail(self, what: str) -> NoReturn:
        Machine.failed = f"{self.namespace}: {what}{self.world.log()}"
        raise AssertionError(Machine.failed)

    @invariant()
    def step(self) -> None:
        Machine.steps += 1
        self.world.keep_running()
        time.sleep(STEP_SECONDS)

    def teardown(self) -> None:
        if Machine.failed:
            return
        self.settle()
        for name in list(self.swarms):
            del self.swarms[name]
            self._send("DELETE", f"{KINDS['Swarm']}/{name}")
        self.settle()
        self._until(lambda: not any(kind == "Pod" for kind, _ in self._objects()), "pods are left over")
        ungrounded = self.world.ungrounded(self.namespace)
        if ungrounded:
            self._fail(f"Ready without ground: {ungrounded}")

    # --- how -------------------------------------------------------------------------------------------------
    def _objects(self) -> Objects:
        return self.world.objects(self.namespace, KINDS)

    def _names(self, kind: str) -> list[str]:
        """Objects of a kind, but Nodes' keys, which nothing could make again."""
        found = sorted(name for what, name in self._objects() if what == kind)
        return [name for name in found if not name.endswith(("-identity", "kube-root-ca.crt"))]

    def _send(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Object:
        return self.world.send(method, path.format(self.namespace), body, kind)

    def _try(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Object | None:
        """What may be refused, or come too late: None then."""
        try:
            return self._send(method, path, body, kind)
        except Problem as error:
            self._note(f"refused: {str(error).split()[2]}")
            return None

    def _note(self, what: str) -> None:
        Machine.seen[what] += 1
        self.world.trace(f"{self.namespace} {what}")

    @staticmethod
    def _pick(items: list[Any], pick: int) -> Any:
        return items[pick % len(items)]


def _is_ready(body: Object) -> bool:
    conditions = (body.get("status") or {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def described(counts: Counter[str]) -> str:
    """What was done, for the log of a run."""
    return json.dumps(dict(counts.most_common()))
