"""The objects that a Swarm called light is made of, as they should be there and as they are."""

from typing import Any

from tests.cluster.control_plane import ControlPlane, until

CHILDREN = "statefulsets,deployments,services,configmaps,secrets,pvc,networkpolicies,pdb,swarmnodes"


def expected(name: str, workers: int = 0) -> set[str]:
    """What a Node has, itself included."""
    made = {
        f"Node/{name}",
        f"StatefulSet/{name}-head",
        f"Service/{name}-head",
        f"NetworkPolicy/{name}-head",
        f"ConfigMap/{name}-config",
        f"PersistentVolumeClaim/{name}-data",
        f"Secret/{name}-identity",
        f"Secret/{name}-ray",
    }
    return made | ({f"Deployment/{name}-rollout", f"NetworkPolicy/{name}-rollout"} if workers else set())


def all_expected(nodes: int, workers: int = 0) -> set[str]:
    """What a Swarm has."""
    budget = {"PodDisruptionBudget/light-heads"} if nodes > 1 else set[str]()
    return budget.union(*(expected(f"light-{index}", workers) for index in range(nodes)))


def ours(cluster: ControlPlane, namespace: str) -> set[str]:
    """What is there, without what Kubernetes puts into every namespace."""
    return cluster.names(namespace, CHILDREN) - {"ConfigMap/kube-root-ca.crt"}


def settle(cluster: ControlPlane, namespace: str, wanted: set[str], seconds: float = 30) -> None:
    """Waits until exactly this is there."""
    try:
        until(lambda: ours(cluster, namespace) == wanted, seconds, "the wanted objects")
    except AssertionError:
        assert ours(cluster, namespace) == wanted
        raise


def versions(cluster: ControlPlane, namespace: str) -> dict[str, str]:
    """Each object's resourceVersion."""
    return {
        f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
        for item in cluster.items(namespace, CHILDREN + ",swarms,pods")
    }


def when(cluster: ControlPlane, namespace: str, kind: str, name: str, type: str, reason: str) -> dict[str, Any] | None:
    condition = cluster.condition(namespace, kind, name, type)
    return condition if condition and condition["reason"] == reason else None


def key_of(cluster: ControlPlane, namespace: str, node: str) -> str | None:
    live = cluster.get(namespace, "secret", f"{node}-identity")
    return live["data"]["key"] if live else None
