"""The Kubernetes resources that the operator reads and writes."""

from dataclasses import dataclass
from typing import Any

from kubeswarm_api.base import GROUP, VERSION

#: An object as the API server speaks it.
Object = dict[str, Any]


@dataclass(frozen=True)
class Resource:
    """A namespaced resource of the API."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """As manifests say it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of the collection or of one object."""
        parts = [f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"]
        parts += [f"namespaces/{namespace}"] if namespace else []
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/".join(parts)


SWARMS = Resource(GROUP, VERSION, "swarms", "Swarm")
NODES = Resource(GROUP, VERSION, "swarmnodes", "Node")
PODS = Resource("", "v1", "pods", "Pod")
SERVICES = Resource("", "v1", "services", "Service")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS = Resource("", "v1", "secrets", "Secret")
CLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
STATEFUL_SETS = Resource("apps", "v1", "statefulsets", "StatefulSet")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
CONTROLLER_REVISIONS = Resource("apps", "v1", "controllerrevisions", "ControllerRevision")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
DISRUPTION_BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
EVENTS = Resource("", "v1", "events", "Event")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")

#: What a Node owns, beside its pods.
CHILDREN = (
    SERVICES,
    CONFIG_MAPS,
    SECRETS,
    CLAIMS,
    STATEFUL_SETS,
    DEPLOYMENTS,
    NETWORK_POLICIES,
    DISRUPTION_BUDGETS,
)
WATCHED = (SWARMS, NODES, PODS, *CHILDREN)
BY_KIND = {resource.kind: resource for resource in (*WATCHED, CONTROLLER_REVISIONS, EVENTS, LEASES)}


def resource_of(manifest: Object) -> Resource:
    """The resource of a manifest that this package built."""
    return BY_KIND[manifest["kind"]]
