"""Pods in a queue of Kueue 0.17: the labels and annotations that its integrations of pods and Deployments go by.

The head and the rollout pods that it begins with are a pod group, which is one Workload of Kueue's: it gets quota as a
whole. Every other rollout pod is a Workload of its own, so that quota is given and taken back by the pod. Kueue holds
pods back by a scheduling gate, and takes quota back by deleting them: their controllers make new ones, which wait.
"""

from typing import Any

from kubeswarm_api.encoding import canonical_json, digest
from kubeswarm_api.names import APP
from kubeswarm_api.spec_placement import Queue
from kubeswarm_operator.build.meta import Owner
from kubeswarm_operator.resources import Object

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"
MANAGED_LABEL = "kueue.x-k8s.io/managed"
GROUP_LABEL = "kueue.x-k8s.io/pod-group-name"
GROUP_COUNT = "kueue.x-k8s.io/pod-group-total-count"
#: Of a group whose pods are replaced when they end: it is never finished.
GROUP_SERVING = "kueue.x-k8s.io/pod-group-serving"
#: Who makes the pods. Kueue puts no finalizers on them then, which would keep a StatefulSet from replacing its pod; and
#: its integration of StatefulSets, to which a head is a workload of its own, leaves alone what another name is on.
PARENT = "kueue.x-k8s.io/pod-suspending-parent"
_PARENTS = {"StatefulSet": APP, "Deployment": "deployment"}
#: What of a PodSpec quota and placement go by: pods that differ in it are of another group.
_SHAPE = (
    "nodeSelector",
    "affinity",
    "tolerations",
    "runtimeClassName",
    "priorityClassName",
    "topologySpreadConstraints",
    "overhead",
    "resourceClaims",
)


def in_queue(owner: Owner, queue: Queue, together: list[Object], others: list[Object], count: int) -> list[Object]:
    """The workloads with what Kueue reads on them. `together`: the head's and its gang's, of `count` pods in all."""
    shapes = [_shape(each["spec"]["template"]["spec"]) for each in together]
    mark = digest(canonical_json([queue.to_json(), count, shapes])).hex()[:10]
    group = {GROUP_LABEL: f"{owner.name}-{mark}"}
    of_group = {GROUP_COUNT: str(count), GROUP_SERVING: "true"}
    priority = queue.priority_class
    return [
        *(_queued(each, queue.name, priority, group, of_group) for each in together),
        *(_queued(each, queue.name, queue.rollout_priority_class or priority, {}, {}) for each in others),
    ]


def _queued(
    workload: Object, queue: str, priority: str | None, labels: dict[str, str], annotations: dict[str, str]
) -> Object:
    marks = {QUEUE_LABEL: queue} | ({PRIORITY_LABEL: priority} if priority else {})
    spec, meta = workload["spec"], workload["metadata"]
    pod = spec["template"]["metadata"]
    told = {**pod["annotations"], PARENT: _PARENTS[workload["kind"]], **annotations}
    template_meta = {"labels": {**pod["labels"], MANAGED_LABEL: "true", **marks, **labels}, "annotations": told}
    return {
        **workload,
        "metadata": {**meta, "labels": {**meta["labels"], **marks}},
        "spec": {**spec, "template": {**spec["template"], "metadata": template_meta}},
    }


def _shape(pod: dict[str, Any]) -> dict[str, Any]:
    containers = [*(pod.get("initContainers") or []), *pod["containers"]]
    per_container = [{key: each.get(key) for key in ("resources", "ports")} for each in containers]
    return {"containers": per_container, **{key: pod[key] for key in _SHAPE if key in pod}}
