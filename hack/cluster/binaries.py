"""The programs of the cluster, built from Go modules and cached by what they are built from."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from hack.building import building
from hack.cluster.layout import REPOSITORY, Profile
from hack.console import Problem, run, step

TOOLS = REPOSITORY / "hack" / "tools"
COMMANDS = "k8s.io/kubernetes/cmd/"
CONTROL_PLANE = ("kube-apiserver", "kubectl", "kube-controller-manager", "kube-scheduler")
CONTAINERD = "github.com/containerd/containerd/v2/"


@dataclass(frozen=True)
class Module:
    """A tools module (a folder of hack/tools) and the packages in it that become programs, by the program's name.

    `version_of` is the requirement of its go.mod whose version is stamped into `version_variables`.
    """

    name: str
    packages: dict[str, str]
    version_of: str = ""
    version_variables: tuple[str, ...] = ()
    tags: str = ""


def _kubernetes(folder: str, **more: str) -> Module:
    return Module(
        folder,
        {program: COMMANDS + program for program in CONTROL_PLANE} | more,
        version_of="k8s.io/kubernetes",
        version_variables=("k8s.io/component-base/version.gitVersion",),
    )


# Kubernetes' minor versions, the newest first: a control plane of each, and a node of the newest. The oldest is what
# the chart asks for.
RELEASES = {
    "1.37": _kubernetes(
        "kubernetes",
        **{program: COMMANDS + program for program in ("kubelet", "kube-proxy")},
        **{program: f"./{program}" for program in ("local-volumes", "remove-pods", "pause")},
    ),
    "1.36": _kubernetes("kubernetes-1.36"),
    "1.35": _kubernetes("kubernetes-1.35"),
}
NEWEST = next(iter(RELEASES))

MODULES = (
    Module("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}),
    RELEASES[NEWEST],
    Module(
        "containerd",
        {
            "containerd": CONTAINERD + "cmd/containerd",
            "containerd-shim-runc-v2": CONTAINERD + "cmd/containerd-shim-runc-v2",
            "ctr": CONTAINERD + "cmd/ctr",
        },
        version_of="github.com/containerd/containerd/v2",
        version_variables=(CONTAINERD + "version.Version",),
        tags="no_btrfs",
    ),
    Module("network-policies", {"network-policies": "."}),
    Module("coredns", {"coredns": "."}),
    Module("nats-server", {"nats-server": "github.com/nats-io/nats-server/v2"}),
    # Of the many ways to find what to scrape, only Kubernetes' is built in: the clouds' take minutes to compile.
    Module(
        "prometheus",
        {"prometheus": "github.com/prometheus/prometheus/cmd/prometheus"},
        version_of="github.com/prometheus/prometheus",
        version_variables=("github.com/prometheus/common/version.Version",),
        tags="remove_all_sd,enable_kubernetes_sd",
    ),
    Module(
        "helm",
        {"helm": "helm.sh/helm/v4/cmd/helm"},
        version_of="helm.sh/helm/v4",
        version_variables=("helm.sh/helm/v4/internal/version.version",),
    ),
)

# What benchmarks and tests run, never part of a cluster: kwok and KubeRay for `make bench-operator`, Kueue to show that
# it queues what the operator makes, geth to show that the attestor needs no anvil.
OTHER_MODULES = (
    Module("kwok", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"}),
    Module("kuberay", {"kuberay": "github.com/ray-project/kuberay/ray-operator"}),
    Module("kueue", {"kueue": "sigs.k8s.io/kueue/cmd/kueue"}),
    Module("geth", {"geth": "github.com/ethereum/go-ethereum/cmd/geth"}),
)

# Without a node there is nothing to run pods, to resolve their names, or to install a chart on.
PROFILE_PROGRAMS = {
    Profile.FULL: tuple(program for module in MODULES for program in module.packages),
    Profile.CONTROL_PLANE: ("etcd", *CONTROL_PLANE),
    Profile.API: ("etcd", "kube-apiserver", "kubectl"),
}


def ensure_programs(cache: Path, names: tuple[str, ...], kubernetes: str = NEWEST) -> dict[str, Path]:
    """Build the programs that the cache lacks and return the path of each, Kubernetes' own of the given minor version.

    Raises Problem when that version has no such program, Go is missing or too old, or a build fails.
    """
    modules = _modules(kubernetes)
    missing = [program for program in names if program not in modules]
    if missing:
        raise Problem(f"only a control plane is built of Kubernetes {kubernetes}: no {', '.join(missing)}")
    return {program: _ensure_program(cache, module, program) for program, module in modules.items() if program in names}


def asked_release() -> str:
    """The minor version of Kubernetes that KUBESWARM_KUBERNETES asks for, by default the newest.

    Raises Problem for one that is not pinned.
    """
    asked = os.environ.get("KUBESWARM_KUBERNETES", NEWEST)
    if asked not in RELEASES:
        raise Problem(f"Kubernetes {asked} is not pinned here: KUBESWARM_KUBERNETES is one of {', '.join(RELEASES)}")
    return asked


def _modules(kubernetes: str) -> dict[str, Module]:
    """Of each program that there is with a minor version of Kubernetes, the module that it is built from."""
    modules = [RELEASES[kubernetes] if module is RELEASES[NEWEST] else module for module in (*MODULES, *OTHER_MODULES)]
    return {program: module for module in modules for program in module.packages}


def _ensure_program(cache: Path, module: Module, program: str) -> Path:
    path = cache / "bin" / f"{module.name}-{_version_key(module)}" / program
    if not path.exists():
        _require_go(TOOLS / module.name / "go.mod")
        with building(cache, module.name):
            if not path.exists():
                with step(f"building {program}"):
                    _build(module, program, path)
    return path


def _build(module: Module, program: str, path: Path) -> None:
    folder = TOOLS / module.name
    flags = ["-s", "-w"]
    if module.version_of:
        version = _required_version(folder / "go.mod", module.version_of)
        flags += [word for name in module.version_variables for word in ("-X", f"{name}={version}")]
    unfinished = path.with_name(f".{path.name}.part")
    command = ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags", " ".join(flags)]
    if module.tags:
        command += ["-tags", module.tags]
    path.parent.mkdir(parents=True, exist_ok=True)
    run([*command, "-o", unfinished, module.packages[program]], cwd=folder, env={"CGO_ENABLED": "0"})
    unfinished.rename(path)


def _version_key(module: Module) -> str:
    """A digest of all that decides what the module's programs are."""
    digest = hashlib.sha256(repr(module).encode())
    for source in sorted((TOOLS / module.name).rglob("*")):
        if source.suffix in (".go", ".mod", ".sum"):
            digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def _required_version(go_mod: Path, module: str) -> str:
    found = re.search(rf"^(?:require )?\s*{re.escape(module)} (v\S+)", go_mod.read_text(), re.MULTILINE)
    if not found:
        raise Problem(f"{go_mod} does not require {module}")
    return found[1]


def _require_go(go_mod: Path) -> None:
    needed = re.search(r"^go (\S+)", go_mod.read_text(), re.MULTILINE)
    wanted = needed[1] if needed else "1.26.0"
    remedy = f"Install Go {wanted} or newer and put it on PATH (Go 1.21 or newer can fetch that release by itself)."
    if shutil.which("go") is None:
        raise Problem(f"Go is missing. {remedy}")
    found = subprocess.run(["go", "version"], cwd=go_mod.parent, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise Problem(f"{found.stderr.strip()}. {remedy}")


def link_programs(programs: dict[str, Path], folder: Path) -> None:
    """Put links to the programs into one folder, so that it can go on PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in programs.items():
        link, fresh = folder / name, folder / f".{name}.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(path)
        fresh.replace(link)
