"""Queues, priorities and pods as an administrator of Kueue makes them; sizes are memory in Mi."""

from typing import Any

QUEUE_GROUP = "kueue.x-k8s.io/v1beta2"
QUEUE = "research"
#: What the operator's pods request: trainer and attestor, and a rollout pod.
HEAD, ROLLOUT = 3 * 1024 + 128, 2 * 1024
WORKERS = 3
QUOTA = HEAD + WORKERS * ROLLOUT
FLAVOR: dict[str, Any] = {"apiVersion": QUEUE_GROUP, "kind": "ResourceFlavor", "metadata": {"name": "any"}, "spec": {}}
CLASSES: list[dict[str, Any]] = [
    {"apiVersion": QUEUE_GROUP, "kind": "WorkloadPriorityClass", "metadata": {"name": name}, "value": value}
    for name, value in (("urgent", 1000), ("training", 100), ("spare", 10))
]


def cluster_queue(name: str, memory: int) -> dict[str, Any]:
    """A quota of memory for one namespace, with preemption by priority; of processors there are enough."""
    quotas = [{"name": "cpu", "nominalQuota": "100"}, {"name": "memory", "nominalQuota": f"{memory}Mi"}]
    flavors = [{"name": "any", "resources": quotas}]
    return {
        "apiVersion": QUEUE_GROUP,
        "kind": "ClusterQueue",
        "metadata": {"name": name},
        "spec": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
            "resourceGroups": [{"coveredResources": ["cpu", "memory"], "flavors": flavors}],
            "preemption": {"withinClusterQueue": "LowerPriority"},
        },
    }


def local_queue(namespace: str) -> dict[str, Any]:
    """The namespace's way into its quota."""
    return {
        "apiVersion": QUEUE_GROUP,
        "kind": "LocalQueue",
        "metadata": {"name": QUEUE, "namespace": namespace},
        "spec": {"clusterQueue": namespace},
    }


def pod(namespace: str, name: str, memory: int) -> dict[str, Any]:
    """Somebody else's pod, more urgent than training."""
    labels = {"kueue.x-k8s.io/queue-name": QUEUE, "kueue.x-k8s.io/priority-class": "urgent"}
    requests = {"cpu": "1", "memory": f"{memory}Mi"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {"containers": [{"name": "work", "image": "simulated:none", "resources": {"requests": requests}}]},
    }
