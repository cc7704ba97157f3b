"""A Swarm in a queue of a running Kueue: it begins as a whole when there is quota, and gives quota back by the pod."""

import json
from typing import Any

from kubeswarm_api.names import ROLE_LABEL
from tests.cluster.control_plane import ControlPlane, until
from tests.kueue.queues import HEAD, QUEUE, QUOTA, ROLLOUT, WORKERS, pod
from tests.simulation.life import Starter, swarm

NODE = "light-0"
GATE = "kueue.x-k8s.io/admission"
IN_QUEUE = {"name": QUEUE, "priorityClass": "training", "rolloutPriorityClass": "spare"}
#: For what Kueue, the controllers and the operator do in turn.
SECONDS = 30

Object = dict[str, Any]


def test_a_swarm_waits_until_there_is_quota_for_its_head_with_a_rollout_pod(
    cluster: ControlPlane, namespace: str, start: Starter
) -> None:
    """There is room for either of them all the time, and for both only in the end."""
    room = HEAD + ROLLOUT - 1
    cluster.apply(pod(namespace, "other", QUOTA - room))
    until(lambda: _runs(cluster, namespace, "other"), SECONDS, "the pod that takes the room")
    start()
    cluster.apply(swarm(namespace, "light", queue=IN_QUEUE))
    for kind, name in (("swarmnode", NODE), ("swarm", "light")):
        ready = until(lambda k=kind, n=name: cluster.reason(namespace, k, n, "Ready", "Queued"), SECONDS, "Queued")
        assert f"queue {QUEUE} for quota for its head and 1 rollout pod at once" in ready["message"]
        degraded = cluster.condition(namespace, kind, name, "Degraded")
        assert degraded and degraded["status"] == "False", "to wait in a queue is nothing wrong"
    until(lambda: "insufficient unused quota for memory" in _refusal(cluster, namespace), SECONDS, "Kueue's decision")
    pods = _pods(cluster, namespace)
    assert sorted(each["metadata"]["labels"][ROLE_LABEL] for each in pods) == ["head", "rollout"]
    assert all(_held(each) for each in pods), "none of them runs without the other"

    cluster.kubectl("-n", namespace, "delete", "pod", "other", "--wait=false")
    _until_all_train(cluster, namespace)
    assert {len(each["spec"]["podSets"]) for each in _workloads(cluster, namespace)} == {1, 2}, "one is the gang's"


def test_preemption_takes_rollout_pods_before_the_head(cluster: ControlPlane, namespace: str, start: Starter) -> None:
    start()
    cluster.apply(swarm(namespace, "light", queue=IN_QUEUE))
    _until_all_train(cluster, namespace)
    kept = _names(cluster, namespace, "gang") | _names(cluster, namespace, "head")
    spare = _names(cluster, namespace, "rollout")
    assert (len(kept), len(spare)) == (2, WORKERS - 1)

    cluster.apply(pod(namespace, "urgent", 2 * ROLLOUT))
    until(lambda: _runs(cluster, namespace, "urgent"), SECONDS, "the urgent pod instead of rollout pods")
    until(lambda: _workers_told(cluster, namespace) == 1, SECONDS, "a trainer that counts on the pods that are left")
    ready = until(lambda: _goes_on(cluster, namespace), SECONDS, "a Node that goes on")
    assert f"1 of {WORKERS} rollout pods are; the others wait in queue {QUEUE}" in ready["message"]
    there = {_identity(each) for each in _pods(cluster, namespace) if not _held(each)}
    assert there == kept, "head and first rollout pod are the same as before, and nothing else runs"
    assert not spare & {_identity(each) for each in _pods(cluster, namespace)}

    cluster.apply(pod(namespace, "more", 2 * ROLLOUT))
    until(lambda: _runs(cluster, namespace, "more"), SECONDS, "the next urgent pod instead of the head")
    until(lambda: cluster.reason(namespace, "swarm", "light", "Ready", "Queued"), SECONDS, "a Swarm that waits again")
    until(lambda: len(_pods(cluster, namespace)) == 2, SECONDS, "no rollout pod beyond the first while the head waits")

    cluster.kubectl("-n", namespace, "delete", "pod", "urgent", "more", "--wait=false")
    _until_all_train(cluster, namespace)


def test_a_swarm_keeps_its_quota_through_changes_and_gives_it_back(
    cluster: ControlPlane, namespace: str, start: Starter
) -> None:
    start()
    cluster.apply(swarm(namespace, "light", queue=IN_QUEUE))
    _until_all_train(cluster, namespace)
    place, before = _gang_workload(cluster, namespace), _names(cluster, namespace, "gang")

    _template(cluster, namespace, {"env": [{"name": "NOTE", "value": "changed"}]})
    until(lambda: not before & _names(cluster, namespace, "gang"), SECONDS, "rollout pods of the changed template")
    _until_all_train(cluster, namespace)
    assert _gang_workload(cluster, namespace) == place, "pods that need as much as those before have their quota"

    _template(cluster, namespace, {"resources": {"requests": {"memory": f"{ROLLOUT // 2}Mi"}}})
    until(lambda: _gang_workload(cluster, namespace) not in (None, place), SECONDS, "quota for another size of pods")
    _until_all_train(cluster, namespace)
    until(lambda: _used(cluster, namespace) == HEAD + WORKERS * ROLLOUT // 2, SECONDS, "the quota of smaller pods")

    cluster.patch(namespace, "swarm", "light", {"spec": {"suspend": True}})
    until(lambda: _used(cluster, namespace) == 0, SECONDS, "free quota while it is suspended")
    cluster.patch(namespace, "swarm", "light", {"spec": {"suspend": False}})
    _until_all_train(cluster, namespace)


def _until_all_train(cluster: ControlPlane, namespace: str) -> None:
    def all_train() -> bool:
        node = cluster.get(namespace, "swarmnode", NODE) or {}
        status = node.get("status") or {}
        ready = cluster.reason(namespace, "swarm", "light", "Ready", "Training")
        return bool(ready) and status.get("readyRolloutReplicas") == WORKERS == _workers_told(cluster, namespace)

    until(all_train, 2 * SECONDS, "head and rollout pods that all train")


def _goes_on(cluster: ControlPlane, namespace: str) -> Object | None:
    ready = cluster.reason(namespace, "swarmnode", NODE, "Ready", "Training")
    return ready if ready and ready["status"] == "True" and "wait in queue" in ready["message"] else None


def _pods(cluster: ControlPlane, namespace: str) -> list[Object]:
    """The Node's."""
    pods = [each for each in cluster.items(namespace, "pods") if "deletionTimestamp" not in each["metadata"]]
    return [each for each in pods if ROLE_LABEL in each["metadata"].get("labels", {})]


def _identity(body: Object) -> tuple[str, str]:
    return body["metadata"]["name"], body["metadata"]["uid"]


def _names(cluster: ControlPlane, namespace: str, part: str) -> set[tuple[str, str]]:
    """Names and uids of the pods of a workload of the Node: head, gang or rollout."""
    found = map(_identity, _pods(cluster, namespace))
    return {(name, uid) for name, uid in found if name.startswith(f"{NODE}-{part}-")}


def _held(body: Object) -> bool:
    gates = [each["name"] for each in body["spec"].get("schedulingGates", [])]
    return GATE in gates and "nodeName" not in body["spec"]


def _runs(cluster: ControlPlane, namespace: str, name: str) -> bool:
    return ((cluster.get(namespace, "pod", name) or {}).get("status") or {}).get("phase") == "Running"


def _workers_told(cluster: ControlPlane, namespace: str) -> int:
    """The rollout pods that the trainer is told to work with."""
    config = cluster.get(namespace, "configmap", f"{NODE}-config")
    return json.loads(config["data"]["node.json"])["training"]["rollout"]["workers"] if config else 0


def _workloads(cluster: ControlPlane, namespace: str) -> list[Object]:
    return cluster.items(namespace, "workloads.kueue.x-k8s.io")


def _gang(cluster: ControlPlane, namespace: str) -> Object | None:
    return next((each for each in _workloads(cluster, namespace) if len(each["spec"]["podSets"]) == 2), None)


def _gang_workload(cluster: ControlPlane, namespace: str) -> tuple[str, str] | None:
    found = _gang(cluster, namespace)
    return _identity(found) if found else None


def _refusal(cluster: ControlPlane, namespace: str) -> str:
    """Why Kueue gives the gang no quota; empty while it doesn't say."""
    conditions = ((_gang(cluster, namespace) or {}).get("status") or {}).get("conditions") or []
    return next((c["message"] for c in conditions if c["type"] == "QuotaReserved" and c["status"] == "False"), "")


def _used(cluster: ControlPlane, namespace: str) -> int | None:
    """Mi of memory that the queue has given out."""
    status = (cluster.get(namespace, "clusterqueue", namespace) or {}).get("status") or {}
    totals = [each["total"] for flavor in status.get("flavorsUsage") or [] for each in flavor["resources"]
              if each["name"] == "memory"]  # fmt: skip
    return sum(map(_mebibytes, totals)) if totals else None


def _mebibytes(quantity: str) -> int:
    units = {"Mi": 1, "Gi": 1024}
    return int(quantity[:-2]) * units[quantity[-2:]] if quantity[-2:] in units else int(quantity) >> 20


def _template(cluster: ControlPlane, namespace: str, container: Object) -> None:
    template = {"rollout": {"spec": {"containers": [{"name": "rollout", **container}]}}}
    cluster.patch(namespace, "swarm", "light", {"spec": {"template": template}})
