"""What must be there for a Swarm, from its spec alone, and where what is there is otherwise."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hack.simulation.api import Object
from tests.simulation.witness import pod_ready

MANAGED = {"app.kubernetes.io/managed-by": "kubeswarm-operator"}
#: All objects of a namespace by kind and name.
Objects = dict[tuple[str, str], Object]


@dataclass
class Wanted:
    """A Swarm as its user has asked for it last."""

    nodes: int
    workers: int
    retain: bool
    suspend: bool = False
    rounds: int = 200
    mark: str = "0"  # an environment variable of the trainer

    def spec(self) -> Object:
        """The fields that the machine changes."""
        env = [{"name": "MARK", "value": self.mark}]
        return {
            "nodes": self.nodes,
            "rollout": {"workers": self.workers},
            "identity": {"retain": self.retain},
            "suspend": self.suspend,
            "rounds": self.rounds,
            "template": {"head": {"spec": {"containers": [{"name": "trainer", "env": env}]}}},
        }

    @property
    def heads(self) -> int:
        """Head pods of a Node."""
        return 0 if self.suspend else 1

    @property
    def rollouts(self) -> int:
        """Rollout pods of a Node."""
        return 0 if self.suspend else self.workers


def complaints(swarms: dict[str, Wanted], objects: Objects) -> list[str]:
    """What is not as the specs say; empty when all is."""
    found: list[str] = []
    allowed: set[tuple[str, str]] = set()
    for name, wanted in swarms.items():
        for what, fields in _objects(name, wanted).items():
            allowed.add(what)
            found += _compared(what, fields, objects.get(what))
        for index in range(wanted.nodes):
            found += _pods(f"{name}-{index}", wanted, objects)
            found += _owned(f"{name}-{index}", name, objects)
    for (kind, name), body in objects.items():
        labels = body["metadata"].get("labels") or {}
        ours = MANAGED.items() <= labels.items() or kind in ("Swarm", "Node")
        if ours and (kind, name) not in allowed and kind != "Pod" and not _is_kept(kind, name, body):
            found.append(f"{kind} {name} is left over")
    return found


def _is_kept(kind: str, name: str, body: Object) -> bool:
    """A key that outlives its Node."""
    return kind == "Secret" and name.endswith("-identity") and not body["metadata"].get("ownerReferences")


def _objects(name: str, wanted: Wanted) -> dict[tuple[str, str], dict[str, Any]]:
    """All objects but pods, with the fields (by path) that an edit or a fault may have changed."""
    ready = "False" if wanted.suspend else "True"
    out: dict[tuple[str, str], dict[str, Any]] = {
        ("Swarm", name): {
            "status.conditions.Ready.status": ready,
            "status.conditions.Degraded.status": "False",
            "status.nodes": wanted.nodes,
            "status.readyNodes": 0 if wanted.suspend else wanted.nodes,
        }
    }
    if wanted.nodes > 1:
        out["PodDisruptionBudget", f"{name}-heads"] = {"spec.maxUnavailable": 1}
    for index in range(wanted.nodes):
        node = f"{name}-{index}"
        out |= {
            ("Node", node): {
                "spec.index": index,
                "spec.rounds": wanted.rounds,
                "spec.rollout.workers": wanted.workers,
                "status.conditions.Ready.status": ready,
                "status.conditions.Degraded.status": "False",
                "status.readyRolloutReplicas": wanted.rollouts,
            },
            ("StatefulSet", f"{node}-head"): {
                "spec.replicas": wanted.heads,
                "spec.template.spec.containers.trainer.env.MARK.value": wanted.mark,
            },
            ("Service", f"{node}-head"): {"spec.publishNotReadyAddresses": True},
            ("NetworkPolicy", f"{node}-head"): {"spec.ingress": ...},
            ("ConfigMap", f"{node}-config"): {"data.node": {"rounds": wanted.rounds, "workers": wanted.workers}},
            ("PersistentVolumeClaim", f"{node}-data"): {},
            ("Secret", f"{node}-identity"): {"data.key": ...},
            ("Secret", f"{node}-ray"): {"data.token": ...},
        }
        if wanted.workers:
            out["Deployment", f"{node}-rollout"] = {"spec.replicas": wanted.rollouts}
            out["NetworkPolicy", f"{node}-rollout"] = {"spec.ingress": ...}
    return out


def _compared(what: tuple[str, str], fields: dict[str, Any], live: Object | None) -> Iterator[str]:
    kind, name = what
    if live is None:
        yield f"{kind} {name} does not exist"
        return
    if (
        kind in ("Swarm", "Node")
        and (live.get("status") or {}).get("observedGeneration") != live["metadata"]["generation"]
    ):
        yield f"{kind} {name}: the status is of an older spec"
    for path, value in fields.items():
        seen = _at(live, path)
        if (value is ... and not seen) or (value is not ... and seen != value):
            detail = f": {json.dumps(_at(live, 'status.conditions'))}" if kind in ("Swarm", "Node") else ""
            yield f"{kind} {name}: {path} is {seen!r}, not {value!r}{detail}"


def _at(body: Any, path: str) -> Any:
    """The value at a path; items of lists go by their name or type, and node.json is read."""
    for step in path.split("."):
        if isinstance(body, list):
            body = next((each for each in body if step in (each.get("name"), each.get("type"))), None)
        elif step == "node" and "node.json" in (body or {}):
            training = json.loads(body["node.json"]).get("training", {})
            return {"rounds": training.get("rounds"), "workers": training.get("rollout", {}).get("workers", 0)}
        else:
            body = (body or {}).get(step)
    return body


def _pods(node: str, wanted: Wanted, objects: Objects) -> Iterator[str]:
    for role, count in (("head", wanted.heads), ("rollout", wanted.rollouts)):
        labels = {"kubeswarm.dev/node": node, "kubeswarm.dev/role": role}
        pods = [
            body
            for (kind, _), body in objects.items()
            if kind == "Pod" and labels.items() <= (body["metadata"].get("labels") or {}).items()
        ]
        if len(pods) != count or not all(map(pod_ready, pods)):
            yield f"Node {node}: {sum(map(pod_ready, pods))} of {len(pods)} {role} pods are ready, {count} wanted"


def _owned(node: str, swarm: str, objects: Objects) -> Iterator[str]:
    """What belongs to a Node is its own, and the Node its Swarm's."""
    owner = objects.get(("Node", node))
    for (kind, name), body in objects.items():
        if kind == "Node" and name == node:
            above = objects.get(("Swarm", swarm))
        elif kind != "Pod" and (body["metadata"].get("labels") or {}).get("kubeswarm.dev/node") == node:
            above = owner
        else:
            continue
        references = body["metadata"].get("ownerReferences") or []
        uids = [each["uid"] for each in references if each.get("controller")]
        if above and uids != [above["metadata"]["uid"]] and not _is_kept(kind, name, body):
            yield f"{kind} {name} has owners {uids}, not {above['metadata']['uid']}"
