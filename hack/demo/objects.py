"""The demo's own objects: the Swarm of examples/swarm.yaml and the Node that visits it."""

import json
from pathlib import Path

from hack.cluster.layout import REPOSITORY
from hack.console import Problem
from hack.demo.target import Target
from kubeswarm_api import names
from kubeswarm_cli.cluster import Cluster

NAMESPACE = "default"
SWARM_FILE = REPOSITORY / "examples" / "swarm.yaml"
VISITOR_FILE = REPOSITORY / "examples" / "node-with-rollout-pod.yaml"
SWARM = "first-light"
VISITOR = "visitor"


def apply(target: Target, path: Path) -> str:
    """`kubectl apply`, as a person would; returns what it said. Raises Problem."""
    return target.run_kubectl("--namespace", NAMESPACE, "apply", "--filename", str(path)).strip()


def remove(target: Target) -> None:
    """Delete the Swarm, the visitor, and the keys that they would keep. Raises Problem."""
    kinds = "swarms.kubeswarm.dev,swarmnodes.kubeswarm.dev"
    try:
        found = json.loads(target.run_kubectl("--namespace", NAMESPACE, "get", kinds, "--output=json"))["items"]
    except Problem:  # the CRDs are gone already
        return
    nodes = [item["metadata"]["name"] for item in found if item["kind"] == "Node" and _is_ours(item)]
    for path in (VISITOR_FILE, SWARM_FILE):
        target.run_kubectl(
            "--namespace", NAMESPACE, "delete", "--ignore-not-found", "--timeout=180s", "--filename", str(path)
        )
    secrets = [f"secret/{names.identity_name(node)}" for node in nodes]
    if secrets:
        target.run_kubectl("--namespace", NAMESPACE, "delete", "--ignore-not-found", *secrets)


def local_path(target: Target, claim: str) -> str:
    """The directory of this machine behind a claim of the local cluster. Raises Problem."""
    words = ["--namespace", NAMESPACE, "get", "persistentvolumeclaim", claim, "--output=jsonpath={.spec.volumeName}"]
    volume = target.run_kubectl(*words)
    return target.run_kubectl("get", "persistentvolume", volume, "--output=jsonpath={.spec.*.path}")


def _is_ours(item: dict[str, dict[str, dict[str, str]]]) -> bool:
    return item["spec"]["swarm"].get("name") == SWARM


def cluster(target: Target) -> Cluster:
    """The command's own view of the namespace."""
    return Cluster(NAMESPACE, kubeconfig=target.kubeconfig)
