"""Keys and certificates, made by openssl, and the kubeconfig files that carry them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.files import write_if_changed
from hack.cluster.layout import NODE_ADDRESS, NODE_NAME, SERVICE_API, Layout, Profile
from hack.console import run

DAYS = "3650"
EC_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True)
class Identity:
    """A certificate to be made: a user name and groups for a client, names and addresses for a server."""

    name: str
    user: str
    group: str = ""
    hosts: tuple[str, ...] = ()
    authority: str = "ca"


API_HOSTS = (
    "DNS:kubernetes",
    "DNS:kubernetes.default",
    "DNS:kubernetes.default.svc",
    "DNS:kubernetes.default.svc.cluster.local",
    "DNS:localhost",
    "IP:127.0.0.1",
    f"IP:{SERVICE_API}",
    f"IP:{NODE_ADDRESS}",
)

IDENTITIES = (
    Identity("etcd", "etcd", hosts=("DNS:localhost", "IP:127.0.0.1"), authority="etcd-ca"),
    Identity("etcd-client", "kube-apiserver", authority="etcd-ca"),
    Identity("kube-apiserver", "kube-apiserver", hosts=API_HOSTS),
    Identity("kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
    Identity("kubelet-server", NODE_NAME, hosts=(f"DNS:{NODE_NAME}", f"IP:{NODE_ADDRESS}")),
    Identity("admin", "kubernetes-admin", "system:masters"),
    Identity("kube-controller-manager", "system:kube-controller-manager"),
    Identity("kube-scheduler", "system:kube-scheduler"),
    Identity("kubelet", f"system:node:{NODE_NAME}", "system:nodes"),
    Identity("kube-proxy", "system:kube-proxy"),
    Identity("local-volumes", "kubeswarm:local-volumes"),
    Identity("network-policies", "kubeswarm:network-policies"),
)

KUBECONFIGS = (
    "admin",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "local-volumes",
    "network-policies",
)


def ensure_certificates(layout: Layout) -> None:
    """Make the authorities, certificates and kubeconfig files that are not there yet."""
    layout.pki.mkdir(parents=True, exist_ok=True, mode=0o700)
    for authority in ("ca", "etcd-ca"):
        _ensure_authority(layout.pki, authority)
    for identity in IDENTITIES:
        _ensure_certificate(layout.pki, identity)
    if not (layout.pki / "service-accounts.key").exists():
        run(["openssl", "genrsa", "-out", layout.pki / "service-accounts.key", "2048"])
    for name in KUBECONFIGS:
        write_if_changed(kubeconfig_path(layout, name), _kubeconfig(layout, name), mode=0o600)


def kubeconfig_path(layout: Layout, name: str) -> Path:
    return layout.kubeconfig if name == "admin" else layout.pki / f"{name}.kubeconfig"


def _ensure_authority(pki: Path, name: str) -> None:
    if (pki / f"{name}.crt").exists():
        return
    files = ["-keyout", pki / f"{name}.key", "-out", pki / f"{name}.crt"]
    run(["openssl", "req", "-x509", *EC_KEY, "-days", DAYS, "-subj", f"/CN=kubeswarm-{name}", *files])


def _ensure_certificate(pki: Path, identity: Identity) -> None:
    certificate = pki / f"{identity.name}.crt"
    if certificate.exists():
        return
    subject = (f"/O={identity.group}" if identity.group else "") + f"/CN={identity.user}"
    extensions = ["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=clientAuth,serverAuth"]
    if identity.hosts:
        extensions.append(f"subjectAltName={','.join(identity.hosts)}")
    signer = ["-CA", pki / f"{identity.authority}.crt", "-CAkey", pki / f"{identity.authority}.key"]
    files = ["-keyout", pki / f"{identity.name}.key", "-out", certificate]
    added = [word for extension in extensions for word in ("-addext", extension)]
    run(["openssl", "req", "-x509", *EC_KEY, *signer, "-days", DAYS, "-subj", subject, *added, *files])


def _kubeconfig(layout: Layout, name: str) -> str:
    def encoded(file: str) -> str:
        return base64.b64encode((layout.pki / file).read_bytes()).decode()

    # One certificate authority serves every profile, so that the name of the context tells clusters apart.
    context = "kubeswarm" if layout.profile is Profile.FULL else f"kubeswarm-{layout.profile}"
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": context,
                    "cluster": {"server": layout.server, "certificate-authority-data": encoded("ca.crt")},
                }
            ],
            "users": [
                {
                    "name": name,
                    "user": {
                        "client-certificate-data": encoded(f"{name}.crt"),
                        "client-key-data": encoded(f"{name}.key"),
                    },
                }
            ],
            "contexts": [{"name": context, "context": {"cluster": context, "user": name}}],
            "current-context": context,
        },
        indent=1,
    )
