"""Bringing a cluster up, telling how it is, and taking it down."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from hack.cluster import certificates, names, network, preflight, processes, settings, teardown
from hack.cluster.binaries import PROFILE_PROGRAMS, asked_release, ensure_programs, link_programs
from hack.cluster.components import component, is_ready, start_component
from hack.cluster.layout import NODE_NAME, Layout, Profile
from hack.console import Problem, run, say, step
from hack.images.catalogue import CLUSTER_IMAGES
from hack.images.pipeline import build_images, load_images

MANIFESTS = Path(__file__).parent / "manifests"
ADDONS = ("storage.yaml", "network-policies.yaml", "coredns.yaml")
ADDON_SECONDS = 180


def up(layout: Layout) -> None:
    """Build what is missing, start what does not run, and return once the cluster can be used.

    Raises Problem when the machine lacks something, or a component does not become ready.
    """
    preflight.check(layout)
    programs = ensure_programs(layout.cache, PROFILE_PROGRAMS[layout.profile], asked_release())
    layout.state.mkdir(parents=True, exist_ok=True)
    link_programs(programs, layout.bin)
    certificates.ensure_certificates(layout)
    settings.write_settings(layout)
    if layout.profile is Profile.FULL:
        network.check_ranges()
        network.set_up(layout)
        for folder in (layout.run, layout.volumes, layout.state / "kubelet-plugins"):
            folder.mkdir(parents=True, exist_ok=True)
    for name in layout.profile.components:
        if name == "network-policies":  # what starts from here on has its rights from the addons
            _install_addons(layout)
        if name == "kubelet":  # the first pods need their images
            load_images(build_images(CLUSTER_IMAGES, layout.cache), layout)
        with step(f"starting {name}"):
            start_component(name, layout)
    if layout.profile is Profile.FULL:
        _wait_for_addons(layout)
    say(f"the cluster is up; audit log {layout.audit_log}, programs {layout.bin}, logs {layout.logs}")
    print(f"export KUBECONFIG={layout.kubeconfig} PATH={layout.bin}:$PATH")


def down(layout: Layout, *, purge: bool) -> None:
    """Stop all that `up` started, with the pods; with `purge` also forget the cluster's state."""
    if not layout.state.exists():
        say(f"there is no cluster in {layout.state}")
        return
    if layout.profile is Profile.FULL:
        preflight.check_root()
    for name in ("kubelet", "local-volumes", "kube-proxy"):
        _stop(name, layout)
    if layout.profile is Profile.FULL:
        with step("removing pods"):
            teardown.remove_pods(layout)
    for name in (
        "containerd",
        "network-policies",
        "kube-scheduler",
        "kube-controller-manager",
        "kube-apiserver",
        "etcd",
    ):
        _stop(name, layout)
    if layout.profile is Profile.FULL:
        teardown.sweep(layout)
    if purge and layout.state.exists():
        with step(f"deleting {layout.state}"):
            shutil.rmtree(layout.state)


def status(layout: Layout) -> bool:
    """Print each component's state and return whether all of them are well."""
    well = True
    for name in layout.profile.components:
        process = processes.find(name, layout.pids)
        state = "stopped" if process is None else "ready" if is_ready(component(name, layout)) else "not ready"
        well = well and state == "ready"
        print(f"{name:26}{state:12}{process.pid if process else ''}")
    print(f"{'kubeconfig':26}{layout.kubeconfig}")
    if layout.profile is Profile.FULL and processes.find("kube-apiserver", layout.pids):
        print(kubectl(layout, "get", "nodes,pods", "--all-namespaces", "--output=wide"))
    return well


def kubectl(layout: Layout, *arguments: str, text: str | None = None) -> str:
    return run([layout.bin / "kubectl", f"--kubeconfig={layout.kubeconfig}", *arguments], text=text)


def _install_addons(layout: Layout) -> None:
    forward = "forward . /etc/resolv.conf" if settings.nameservers() else ""
    manifests = [(MANIFESTS / name).read_text() for name in ADDONS]
    text = "\n---\n".join(manifests).replace("{forward}", forward)
    with step("installing rights, the storage class and CoreDNS"):
        kubectl(layout, "apply", "--server-side", "--force-conflicts", "-f", "-", text=text)


def _wait_for_addons(layout: Layout) -> None:
    with step("waiting for the node and its name service"):
        _wait_until(lambda: _is(layout, f"node/{NODE_NAME}", "--for=condition=Ready"), f"node {NODE_NAME}")
        _wait_until(lambda: _is(layout, "serviceaccount/default", "--for=create"), "service account default")
        # What the API server says of CoreDNS may date from before the last `down`.
        _wait_until(names.resolves, "the name service (deployment coredns in kube-system)")


def _is(layout: Layout, *what: str) -> bool:
    try:
        kubectl(layout, "wait", *what, "--timeout=5s")
    except Problem:  # not there yet, or not yet so
        return False
    return True


def _wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + ADDON_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise Problem(f"{what} is not ready after {ADDON_SECONDS} s: see `python3 -m hack.cluster status`")
        time.sleep(0.5)


def _stop(name: str, layout: Layout) -> None:
    if processes.stop(name, layout.pids):
        say(f"stopped {name}")
