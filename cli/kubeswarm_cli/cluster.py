"""Reads Swarms and Nodes from a cluster: the only module here that calls the Kubernetes API."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from kubeswarm_api.base import GROUP, VERSION
from kubeswarm_api.conditions import Condition, ConditionType
from kubeswarm_api.names import NODE_LABEL
from kubeswarm_api.node import NodeStatus
from kubeswarm_api.swarm import SwarmStatus
from kubeswarm_cli.errors import CommandError
from kubeswarm_cli.happenings import Event, Pod

TIMEOUT_SECONDS = 15.0


def find_condition(conditions: list[Condition], kind: ConditionType) -> Condition | None:
    """The condition of a type, or None before the operator's first visit."""
    return next((condition for condition in conditions if condition.type == kind), None)


@dataclass(frozen=True)
class Node:
    """A Node as the cluster has it."""

    namespace: str
    name: str
    swarm: str | None
    rounds: int
    rollout_workers: int
    status: NodeStatus

    @classmethod
    def parse(cls, item: dict[str, Any]) -> "Node":
        spec = item["spec"]
        return cls(
            namespace=item["metadata"]["namespace"],
            name=item["metadata"]["name"],
            swarm=spec["swarm"].get("name"),
            rounds=spec["rounds"],
            rollout_workers=spec.get("rollout", {}).get("workers", 0),
            # A newer operator may say more than this command knows.
            status=NodeStatus.model_validate(item.get("status", {}), extra="ignore"),
        )

    @property
    def complete(self) -> bool:
        """It has finished its rounds, and the chain has them."""
        condition = find_condition(self.status.conditions, ConditionType.COMPLETE)
        return condition is not None and condition.status == "True"


@dataclass(frozen=True)
class Swarm:
    """A Swarm as the cluster has it, with all Nodes of its namespace that take part in it."""

    namespace: str
    name: str
    uid: str
    created: datetime
    rounds: int
    wanted_nodes: int
    status: SwarmStatus
    nodes: tuple[Node, ...]

    @classmethod
    def parse(cls, item: dict[str, Any], nodes: list[Node]) -> "Swarm":
        metadata, spec = item["metadata"], item["spec"]
        members = [node for node in nodes if (node.namespace, node.swarm) == (metadata["namespace"], metadata["name"])]
        return cls(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            created=datetime.fromisoformat(metadata["creationTimestamp"]),
            rounds=spec["rounds"],
            wanted_nodes=spec["nodes"],
            status=SwarmStatus.model_validate(item.get("status", {}), extra="ignore"),
            nodes=tuple(sorted(members, key=lambda node: node.name)),
        )

    @property
    def conditions(self) -> list[tuple[str, list[Condition]]]:
        """Its own conditions and its Nodes', by object."""
        nodes = [(f"node/{node.name}", node.status.conditions) for node in self.nodes]
        return [(f"swarm/{self.name}", self.status.conditions), *nodes]

    def condition(self, kind: ConditionType) -> Condition | None:
        return find_condition(self.status.conditions, kind)

    @property
    def complete(self) -> bool:
        """All its own Nodes have finished their rounds, and the chain has them."""
        condition = self.condition(ConditionType.COMPLETE)
        return condition is not None and condition.status == "True"

    @property
    def seconds(self) -> float | None:
        """From its creation to its completion, or None while it is not complete."""
        condition = self.condition(ConditionType.COMPLETE)
        if condition is None or condition.status != "True":
            return None
        return (datetime.fromisoformat(condition.last_transition_time) - self.created).total_seconds()


class Cluster:
    """A connection. `kubeconfig` None means the usual one, `namespace` None the context's own.

    Raises CommandError where the kubeconfig or the context is missing.
    """

    def __init__(
        self, namespace: str | None = None, context: str | None = None, kubeconfig: Path | None = None
    ) -> None:
        file = str(kubeconfig) if kubeconfig else None
        try:
            config.load_kube_config(file, context=context)
        except ConfigException as error:
            raise CommandError(f"no cluster is configured ({error}): set KUBECONFIG, or --context") from error
        self.namespace = namespace or _namespace_of(context, file)
        self._objects, self._core = client.CustomObjectsApi(), client.CoreV1Api()
        self._host = client.Configuration.get_default_copy().host

    def swarms(self, everywhere: bool = False) -> list[Swarm]:
        """The Swarms of the namespace, or of all namespaces."""
        nodes = self.nodes(everywhere)
        return [Swarm.parse(item, nodes) for item in self._list("swarms", everywhere)]

    def nodes(self, everywhere: bool = False) -> list[Node]:
        """The Nodes of the namespace, or of all namespaces."""
        return [Node.parse(item) for item in self._list("swarmnodes", everywhere)]

    def swarm(self, name: str) -> Swarm:
        """One Swarm. Raises CommandError if there is none of this name."""
        found = {swarm.name: swarm for swarm in self.swarms()}
        if name not in found:
            raise CommandError(self._missing("Swarm", name, list(found)))
        return found[name]

    def node(self, name: str) -> Node:
        """One Node. Raises CommandError if there is none of this name."""
        found = {node.name: node for node in self.nodes()}
        if name not in found:
            raise CommandError(self._missing("Node", name, list(found)))
        return found[name]

    def pods(self, node: str) -> list[Pod]:
        """A Node's pods."""
        with self._explained("pods"):
            answer = self._core.list_namespaced_pod(
                self.namespace, label_selector=f"{NODE_LABEL}={node}", _request_timeout=TIMEOUT_SECONDS
            )
        return [Pod.parse(item) for item in self._plain(answer)["items"]]

    def events(self) -> list[Event]:
        """The Events of the namespace."""
        with self._explained("events"):
            answer = self._core.list_namespaced_event(self.namespace, _request_timeout=TIMEOUT_SECONDS)
        return [Event.parse(item) for item in self._plain(answer)["items"]]

    def _plain(self, answer: object) -> dict[str, Any]:
        return cast("dict[str, Any]", self._core.api_client.sanitize_for_serialization(answer))

    def _missing(self, kind: str, name: str, known: list[str]) -> str:
        there = f"there are {', '.join(sorted(known)[:20])}" if known else "there is none; --namespace looks elsewhere"
        return f"no {kind} {name} in namespace {self.namespace}: {there}"

    def _list(self, plural: str, everywhere: bool) -> list[dict[str, Any]]:
        with self._explained(plural):
            if everywhere:
                answer = self._objects.list_cluster_custom_object(
                    GROUP, VERSION, plural, _request_timeout=TIMEOUT_SECONDS
                )
            else:
                answer = self._objects.list_namespaced_custom_object(
                    GROUP, VERSION, self.namespace, plural, _request_timeout=TIMEOUT_SECONDS
                )
        return cast("dict[str, Any]", answer)["items"]

    @contextmanager
    def _explained(self, plural: str) -> Iterator[None]:
        try:
            yield
        except ApiException as error:
            if error.status == 404:
                raise CommandError(f"the cluster has no {plural}.{GROUP}: install the KubeSwarm chart") from error
            if error.status in (401, 403):
                raise CommandError(
                    f"the cluster refuses to list {plural} in namespace {self.namespace} ({error.reason}): "
                    "ask for the role that the chart adds to `view`"
                ) from error
            raise CommandError(f"the cluster answered {error.status} {error.reason}") from error
        except HTTPError as error:
            raise CommandError(f"no answer from the cluster at {self._host}: is it running?") from error


def _namespace_of(context: str | None, file: str | None) -> str:
    """The namespace that the kubeconfig gives the context."""
    contexts, active = cast("tuple[list[dict[str, Any]], dict[str, Any]]", config.list_kube_config_contexts(file))
    chosen = next((item for item in contexts if item["name"] == context), active)
    return chosen["context"].get("namespace") or "default"
