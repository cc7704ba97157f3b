"""The images: what each is made of, and from which files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.binaries import ensure_programs
from hack.cluster.layout import REPOSITORY
from hack.console import run
from hack.images import model


@dataclass(frozen=True)
class Image:
    """One Dockerfile and its name.

    `context` gives the folder that the Dockerfile copies from; one outside the repository is named by its content.
    `sources` are the paths of the repository that decide what gets in. `bases` are the build arguments that name
    the local base images.
    """

    reference: str
    dockerfile: str
    context: Callable[[Path], Path]
    sources: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()


def _repository(cache: Path) -> Path:
    return REPOSITORY


def _repository_with_anvil(cache: Path) -> Path:
    run(["make", "--directory", REPOSITORY / "contracts", "node_modules/.package-lock.json"])
    return REPOSITORY


def _program(name: str) -> Callable[[Path], Path]:
    return lambda cache: ensure_programs(cache, (name,))[name].parent


PACKAGES = ("pyproject.toml", "uv.lock", "api", "cli/pyproject.toml", "contracts/kubeswarm_contracts")
MEMBERS = (
    *("contracts/pyproject.toml", "indexer/pyproject.toml"),
    *("operator/pyproject.toml", "workers/pyproject.toml"),
)

IMAGES = {
    "pause": Image("kubeswarm/pause:dev", "hack/images/pause/Dockerfile", _program("pause")),
    "coredns": Image("kubeswarm/coredns:dev", "hack/images/coredns/Dockerfile", _program("coredns")),
    "nats": Image("kubeswarm/nats:dev", "hack/images/nats/Dockerfile", _program("nats-server")),
    "prometheus": Image("kubeswarm/prometheus:dev", "hack/images/prometheus/Dockerfile", _program("prometheus")),
    "operator": Image(
        "kubeswarm/operator:dev",
        "operator/Dockerfile",
        _repository,
        sources=(*PACKAGES, *MEMBERS, "operator/kubeswarm_operator", "indexer/kubeswarm_indexer"),
        bases=("BASE", "RUNTIME"),
    ),
    "worker": Image(
        "kubeswarm/worker:dev",
        "workers/Dockerfile",
        _repository,
        sources=(*PACKAGES, *MEMBERS, "workers/kubeswarm_workers"),
        bases=("BASE",),
    ),
    "chain": Image(
        "kubeswarm/chain:dev",
        "contracts/Dockerfile",
        _repository_with_anvil,
        sources=(*PACKAGES, *MEMBERS, "contracts/package-lock.json"),
        bases=("BASE",),
    ),
    "smollm2": Image("kubeswarm/smollm2-135m-instruct:v1", "hack/images/model/Dockerfile", model.smollm2),
    "tiny-qwen3": Image("kubeswarm/tiny-qwen3:v1", "hack/images/model/Dockerfile", model.tiny_qwen3),
}

# What the cluster itself runs.
CLUSTER_IMAGES = ("pause", "coredns")
