"""The command line of each component, and how to tell that it is ready."""

from __future__ import annotations

import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hack.cluster import processes
from hack.cluster.certificates import kubeconfig_path
from hack.cluster.layout import NODE_ADDRESS, NODE_NAME, SERVICE_RANGE, Layout
from hack.cluster.network import QUEUE
from hack.console import Problem

READY_SECONDS = 180.0  # a loaded machine with two cores takes a tenth of it


@dataclass(frozen=True)
class Component:
    """A process of the cluster. `health` is a URL, or a socket's path, that answers once it is ready."""

    command: list[str | Path]
    health: str | Path | None = None
    env: dict[str, str] = field(default_factory=dict)


def component(name: str, layout: Layout) -> Component:
    return BUILDERS[name](layout)


def start_component(name: str, layout: Layout) -> None:
    """Start the component unless it runs, and wait until it is ready.

    Raises Problem with the end of its log when it ends, or is not ready in time.
    """
    wanted = component(name, layout)
    process = processes.start(name, wanted.command, pids=layout.pids, logs=layout.logs, env=wanted.env)
    deadline = time.monotonic() + READY_SECONDS
    while not is_ready(wanted):
        if not process.alive() or time.monotonic() > deadline:
            what = "is not ready in time" if process.alive() else "ended"
            tail = processes.log_tail(name, layout.logs)
            raise Problem(f"{name} {what}; the end of {layout.logs / name}.log:\n{tail}")
        time.sleep(0.2)


def is_ready(wanted: Component) -> bool:
    if wanted.health is None:
        return True
    if isinstance(wanted.health, Path):
        return _accepts(wanted.health)
    # The components make their own serving certificates, and all that is asked is whether they are well.
    anyone = ssl.create_default_context()
    anyone.check_hostname = False
    anyone.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=anyone))
    try:
        with opener.open(wanted.health, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _accepts(address: Path) -> bool:
    """Whether somebody listens: the file of a socket outlives its owner."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(str(address))
        except OSError:
            return False
    return True


def _etcd(layout: Layout) -> Component:
    client, peer = (f"https://127.0.0.1:{layout.port(name)}" for name in ("etcd", "etcd-peer"))
    tls = {"cert": "etcd.crt", "key": "etcd.key", "trusted-ca": "etcd-ca.crt"}
    files = [f"--{prefix}{kind}-file={layout.pki / file}" for prefix in ("", "peer-") for kind, file in tls.items()]
    return Component(
        [
            layout.bin / "etcd",
            f"--data-dir={layout.state}/etcd",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--client-cert-auth",
            "--peer-client-cert-auth",
            *files,
            # One member on a disk that others keep busy: a crash of the machine may cost the cluster, slow syncs
            # would cost every run.
            "--unsafe-no-fsync",
            "--auto-compaction-retention=1h",
            "--log-level=warn",
        ],
        # The health page wants a client certificate as well: the API server's readiness includes etcd's.
    )


def _kube_apiserver(layout: Layout) -> Component:
    pki = layout.pki
    return Component(
        [
            layout.bin / "kube-apiserver",
            f"--bind-address={layout.address}",
            f"--advertise-address={NODE_ADDRESS}",
            f"--secure-port={layout.port('kube-apiserver')}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            f"--etcd-servers=https://127.0.0.1:{layout.port('etcd')}",
            f"--etcd-cafile={pki}/etcd-ca.crt",
            f"--etcd-certfile={pki}/etcd-client.crt",
            f"--etcd-keyfile={pki}/etcd-client.key",
            f"--client-ca-file={pki}/ca.crt",
            f"--tls-cert-file={pki}/kube-apiserver.crt",
            f"--tls-private-key-file={pki}/kube-apiserver.key",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={pki}/service-accounts.key",
            f"--service-account-signing-key-file={pki}/service-accounts.key",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--kubelet-client-certificate={pki}/kubelet-client.crt",
            f"--kubelet-client-key={pki}/kubelet-client.key",
            f"--kubelet-certificate-authority={pki}/ca.crt",
            # Logs and exec reach the kubelet by its address: no name server knows its name.
            "--kubelet-preferred-address-types=InternalIP",
            "--allow-privileged=true",
            f"--audit-policy-file={layout.config}/audit-policy.json",
            f"--audit-log-path={layout.audit_log}",
            "--audit-log-maxsize=200",
            "--audit-log-maxbackup=3",
            f"--cert-dir={layout.state}/run",
        ],
        f"{layout.server}/readyz",
    )


def _kube_controller_manager(layout: Layout) -> Component:
    kubeconfig, pki = kubeconfig_path(layout, "kube-controller-manager"), layout.pki
    port = layout.port("kube-controller-manager")
    return Component(
        [
            layout.bin / "kube-controller-manager",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            "--leader-elect=false",
            "--use-service-account-credentials",
            f"--root-ca-file={pki}/ca.crt",
            f"--service-account-private-key-file={pki}/service-accounts.key",
            f"--cluster-signing-cert-file={pki}/ca.crt",
            f"--cluster-signing-key-file={pki}/ca.key",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            # A machine whose two cores are busy training answers late: that is no reason to evict its pods.
            "--node-monitor-grace-period=180s",
        ],
        f"https://127.0.0.1:{port}/healthz",
    )


def _kube_scheduler(layout: Layout) -> Component:
    kubeconfig, port = kubeconfig_path(layout, "kube-scheduler"), layout.port("kube-scheduler")
    return Component(
        [
            layout.bin / "kube-scheduler",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            "--leader-elect=false",
            "--kube-api-qps=1000",
            "--kube-api-burst=2000",
        ],
        f"https://127.0.0.1:{port}/healthz",
    )


def _containerd(layout: Layout) -> Component:
    command: list[str | Path] = [layout.bin / "containerd", "--config", layout.config / "containerd.toml"]
    path = {"PATH": f"{layout.bin}:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"}
    return Component(command, layout.containerd_socket, path)


def _kubelet(layout: Layout) -> Component:
    return Component(
        [
            layout.bin / "kubelet",
            f"--config={layout.config}/kubelet.json",
            f"--kubeconfig={kubeconfig_path(layout, 'kubelet')}",
            f"--root-dir={layout.state}/kubelet",
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={NODE_ADDRESS}",
        ],
        f"http://127.0.0.1:{layout.port('kubelet-health')}/healthz",
    )


def _kube_proxy(layout: Layout) -> Component:
    return Component(
        [layout.bin / "kube-proxy", f"--config={layout.config}/kube-proxy.json"],
        f"http://127.0.0.1:{layout.port('kube-proxy-health')}/healthz",
    )


def _network_policies(layout: Layout) -> Component:
    health = f"127.0.0.1:{layout.port('network-policies-health')}"
    return Component(
        [
            layout.bin / "network-policies",
            f"--kubeconfig={kubeconfig_path(layout, 'network-policies')}",
            f"--node={NODE_NAME}",
            f"--queue={QUEUE}",
            f"--health={health}",
        ],
        f"http://{health}/healthz",
    )


def _local_volumes(layout: Layout) -> Component:
    kubeconfig = kubeconfig_path(layout, "local-volumes")
    return Component([layout.bin / "local-volumes", f"--kubeconfig={kubeconfig}", f"--root={layout.volumes}"])


BUILDERS: dict[str, Callable[[Layout], Component]] = {
    "etcd": _etcd,
    "kube-apiserver": _kube_apiserver,
    "kube-controller-manager": _kube_controller_manager,
    "kube-scheduler": _kube_scheduler,
    "network-policies": _network_policies,
    "containerd": _containerd,
    "kubelet": _kubelet,
    "kube-proxy": _kube_proxy,
    "local-volumes": _local_volumes,
}
