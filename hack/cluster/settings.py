"""The configuration files of the components."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from hack.cluster.certificates import kubeconfig_path
from hack.cluster.files import write_if_changed
from hack.cluster.layout import NODE_ADDRESS, NODE_NAME, POD_RANGE, SERVICE_DNS, Layout

PAUSE_IMAGE = "docker.io/kubeswarm/pause:dev"
CAP_SYS_RESOURCE = 24
#: The namespace whose service accounts' reads are in the audit log too.
COUNTED = "kubeswarm-counted"


def write_settings(layout: Layout) -> None:
    """Write every file that the components read at their start."""
    files = {
        "audit-policy.json": json.dumps(_audit_policy(), indent=1),
        "kubelet.json": json.dumps(_kubelet(layout), indent=1),
        "kube-proxy.json": json.dumps(_kube_proxy(layout), indent=1),
        "containerd.toml": _containerd(layout),
        "resolv.conf": "".join(f"nameserver {address}\n" for address in nameservers()),
    }
    for name, text in files.items():
        write_if_changed(layout.config / name, text)


def nameservers() -> list[str]:
    """The machine's name servers that a pod can reach: a stub on the loopback interface is none to it."""
    found: list[str] = []
    for source in (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf")):
        if source.exists() and not found:
            addresses = re.findall(r"^\s*nameserver\s+(\S+)", source.read_text(), re.MULTILINE)
            found = [address for address in addresses if not address.startswith("127.") and address != "::1"]
    return found


def _audit_policy() -> dict[str, Any]:
    # Who wrote what, when, with which answer; no bodies, so that no Secret gets into the log.
    writes = ["create", "update", "patch", "delete", "deletecollection"]
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "Metadata", "verbs": writes},
            # Tests and benchmarks count every request of those who run under this namespace's accounts.
            {"level": "Metadata", "userGroups": [f"system:serviceaccounts:{COUNTED}"]},
            {"level": "None"},
        ],
    }


def _kubelet(layout: Layout) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "port": layout.port("kubelet"),
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": layout.port("kubelet-health"),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(layout.pki / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(layout.pki / "kubelet-server.key"),
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "cgroupDriver": "cgroupfs",  # works with systemd and without it
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [SERVICE_DNS],
        "clusterDomain": "cluster.local",
        "resolvConf": str(layout.config / "resolv.conf"),
        "podLogsDir": str(layout.state / "pod-logs"),
        "volumePluginDir": str(layout.state / "kubelet-plugins"),
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "evictionPressureTransitionPeriod": "10s",  # the default holds pods back for five minutes after it
        # Images come from no registry: one that is collected would not come back.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "serializeImagePulls": False,
    }


def _kube_proxy(layout: Layout) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "bindAddress": NODE_ADDRESS,
        "hostnameOverride": NODE_NAME,
        "clusterCIDR": POD_RANGE,
        "healthzBindAddress": f"127.0.0.1:{layout.port('kube-proxy-health')}",
        "metricsBindAddress": f"127.0.0.1:{layout.port('kube-proxy-metrics')}",
        "clientConnection": {"kubeconfig": str(kubeconfig_path(layout, "kube-proxy"))},
        "conntrack": {"maxPerCore": 0},  # leave the machine's limit alone
    }


def _containerd(layout: Layout) -> str:
    runtime = 'plugins."io.containerd.cri.v1.runtime"'
    images = 'plugins."io.containerd.cri.v1.images"'
    return f"""version = 3
root = "{layout.state}/containerd"
state = "{layout.run}/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri"]

[grpc]
address = "{layout.containerd_socket}"

[plugins."io.containerd.internal.v1.opt"]
path = "{layout.state}/containerd/opt"

[{runtime}]
restrict_oom_score_adj = {str(not _may_raise_limits()).lower()}

[{runtime}.containerd]
default_runtime_name = "runc"

[{runtime}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[{runtime}.containerd.runtimes.runc.options]
BinaryName = "{shutil.which("runc")}"
SystemdCgroup = false

[{runtime}.cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "{layout.config}/cni"

[{images}]
snapshotter = "overlayfs"

[{images}.pinned_images]
sandbox = "{PAUSE_IMAGE}"
"""


def _may_raise_limits() -> bool:
    """Whether root has CAP_SYS_RESOURCE, without which no process's OOM score can be lowered."""
    found = re.search(r"^CapEff:\s+(\S+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    return bool(found and int(found[1], 16) >> CAP_SYS_RESOURCE & 1)
