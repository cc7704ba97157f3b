"""Kueue's manager as a process beside a control plane, with the definitions, rights and settings of its own release."""

import base64
import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from hack.cluster import processes
from hack.simulation.api import Object
from hack.simulation.plane import Plane, account_kubeconfig, module_folder
from tests.cluster.control_plane import until

NAMESPACE = "kueue-system"
ACCOUNT, SETTINGS, WEBHOOK = "kueue-controller-manager", "kueue-manager-config", "kueue-webhook-service"
#: Where Kueue puts the certificate that it makes for its webhooks, and whence a pod would have it mounted.
CERTIFICATE = "kueue-webhook-server-cert"
WEBHOOK_PORT, HEALTH_PORT, METRICS_PORT = 29_443, 29_081, 29_082
#: What makes no sense outside a pod: the manager's Deployment, and an API of its own that nobody here asks.
LEFT_OUT = ("Deployment", "APIService")


@contextmanager
def kueue(plane: Plane) -> Iterator[None]:
    """Runs it."""
    folder = module_folder("kueue", "sigs.k8s.io/kueue") / "config" / "default"
    objects: list[Object] = list(yaml.safe_load_all(plane.kubectl("kustomize", str(folder))))
    installed = [_reachable(each) for each in objects if each["kind"] not in LEFT_OUT]
    plane.kubectl("apply", "--server-side", "-f", "-", text=yaml.safe_dump_all(installed))
    (settings,) = (each for each in objects if each["metadata"]["name"] == SETTINGS)
    certificates = plane.layout.config / "kueue-certificates"
    certificates.mkdir(exist_ok=True)
    config = plane.layout.config / "kueue.yaml"
    config.write_text(_config(settings["data"]["controller_manager_config.yaml"], certificates))
    account = account_kubeconfig(plane, NAMESPACE, ACCOUNT)
    command = [plane.program("kueue"), f"--config={config}", f"--kubeconfig={account}", "--zap-log-level=2"]
    processes.start("kueue", command, pids=plane.layout.pids, logs=plane.layout.logs)
    try:
        until(lambda: _mounted(plane, certificates), 30, "the certificate of Kueue's webhooks")
        until(_ready, 60, f"Kueue is ready; its log: {processes.log_tail('kueue', plane.layout.logs)}")
        yield
    finally:
        processes.stop("kueue", plane.layout.pids)


def _reachable(body: Object) -> Object:
    """The object, with this machine in the place of Kueue's pod."""
    if body["kind"] == "Service" and body["metadata"]["name"] == WEBHOOK:
        here = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": WEBHOOK_PORT}]}
        return {**body, "spec": here}
    clients: list[dict[str, Any]] = [each["clientConfig"] for each in body.get("webhooks") or []]
    conversion = (body.get("spec") or {}).get("conversion") or {}
    if "webhook" in conversion:
        clients.append(conversion["webhook"]["clientConfig"])
    for client in clients:
        client["service"]["port"] = WEBHOOK_PORT
    return body


def _config(shipped: str, certificates: Path) -> str:
    """The settings of the release, on ports and with files of this machine."""
    settings = yaml.safe_load(shipped)
    settings["health"]["healthProbeBindAddress"] = f"127.0.0.1:{HEALTH_PORT}"
    settings["metrics"]["bindAddress"] = f"127.0.0.1:{METRICS_PORT}"
    settings["webhook"] = {"port": WEBHOOK_PORT, "certDir": str(certificates)}
    settings["leaderElection"]["leaderElect"] = False
    settings["featureGates"] = {"VisibilityOnDemand": False}  # the API of its own
    return yaml.safe_dump(settings)


def _mounted(plane: Plane, folder: Path) -> bool:
    """Does what a kubelet would: brings the Secret that Kueue writes into its folder."""
    data = json.loads(plane.kubectl("-n", NAMESPACE, "get", "secret", CERTIFICATE, "-o", "json")).get("data") or {}
    for name in ("tls.key", "tls.crt"):
        if name in data:
            (folder / name).write_bytes(base64.b64decode(data[name]))
    return "tls.crt" in data


def _ready() -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{HEALTH_PORT}/readyz", timeout=5) as response:
            return response.status == 200
    except OSError:
        return False
