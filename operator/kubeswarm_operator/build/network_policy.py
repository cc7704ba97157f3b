"""Who may talk with a Node's pods: the Node's own pods, and those who scrape metrics. Nobody else."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from kubeswarm_api.names import (
    ATTESTOR_PORT,
    HEAD,
    RAY_AGENT_GRPC_PORT,
    RAY_METRICS_PORT,
    RAY_NODE_MANAGER_PORT,
    RAY_OBJECT_MANAGER_PORT,
    RAY_PORT,
    RAY_WORKER_PORTS,
    ROLLOUT,
    ROLLOUT_PORT,
    TRAINER_PORT,
    head_name,
    rollout_name,
)
from kubeswarm_operator.build.meta import Owner, manifest, pod_selector
from kubeswarm_operator.resources import NETWORK_POLICIES, Object

#: Namespaces with this label may scrape metrics, beside the operator's own.
METRICS_NAMESPACE_LABEL = ("kubeswarm.dev/metrics", "allowed")
_HTTPS = 443
#: Policies are about pods' ports, and the pods behind the name service's 53 listen on the other on OpenShift.
_DNS_PORTS = (53, 5353)
_DEFAULT_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80, "nats": 4222, "tls": 4222}


@dataclass(frozen=True)
class Peers:
    """Whom pods must reach beyond their Node. `hub`: one of models, or an index of packages."""

    operator_namespace: str
    chain_url: str | None
    exchange_url: str | None
    hub: bool
    environment_url: str | None = None
    signer_port: int | None = None


def network_policies(owner: Owner, peers: Peers, workers: int) -> list[Object]:
    """One policy for the head and, if there are rollout pods, one for them."""
    outside = {port_of(url) for url in (peers.chain_url, peers.exchange_url, peers.environment_url) if url}
    outside |= {peers.signer_port} if peers.signer_port else set()
    policies = [_policy(owner, HEAD, head_name(owner.name), peers, [TRAINER_PORT, ATTESTOR_PORT], outside)]
    if workers:
        policies.append(_policy(owner, ROLLOUT, rollout_name(owner.name), peers, [ROLLOUT_PORT], set()))
    return policies


def _policy(owner: Owner, role: str, name: str, peers: Peers, metric_ports: list[int], outside: set[int]) -> Object:
    own_pods = [{"podSelector": {"matchLabels": pod_selector(owner, each)}} for each in (HEAD, ROLLOUT)]
    scrapers: list[dict[str, Any]] = [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": peers.operator_namespace}}},
        {"namespaceSelector": {"matchLabels": dict([METRICS_NAMESPACE_LABEL])}},
    ]
    egress: list[dict[str, Any]] = [
        {"to": own_pods, "ports": _ray_ports()},
        {"ports": [_port(port, protocol) for port in _DNS_PORTS for protocol in ("UDP", "TCP")]},
    ]
    ports = sorted(outside | ({_HTTPS} if peers.hub else set()))
    if ports:
        egress.append({"ports": [_port(port) for port in ports]})
    return manifest(
        NETWORK_POLICIES,
        owner,
        name,
        {
            "spec": {
                "podSelector": {"matchLabels": pod_selector(owner, role)},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [
                    {"from": own_pods, "ports": _ray_ports()},
                    {"from": scrapers, "ports": [_port(port) for port in metric_ports]},
                ],
                "egress": egress,
            }
        },
        role=role,
    )


def _port(number: int, protocol: str = "TCP", last: int | None = None) -> dict[str, Any]:
    port: dict[str, Any] = {"port": number, "protocol": protocol}
    return {**port, "endPort": last} if last else port


def _ray_ports() -> list[dict[str, Any]]:
    return [
        _port(RAY_PORT),
        _port(RAY_NODE_MANAGER_PORT, last=RAY_METRICS_PORT),
        _port(RAY_WORKER_PORTS[0], last=RAY_WORKER_PORTS[1]),
    ]


def port_of(url: str) -> int:
    """The port that a URL leads to."""
    parts = urlsplit(url)
    return parts.port or _DEFAULT_PORTS.get(parts.scheme, _HTTPS)


assert RAY_NODE_MANAGER_PORT < RAY_OBJECT_MANAGER_PORT < RAY_AGENT_GRPC_PORT < RAY_METRICS_PORT  # one range
