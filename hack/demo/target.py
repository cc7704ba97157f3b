"""The cluster that the demo runs on: the local one, or one that is there already."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import lifecycle, preflight, processes
from hack.cluster.binaries import ensure_programs
from hack.cluster.layout import REPOSITORY, Layout, Profile, cache_folder, layout_for
from hack.console import Problem, run, say
from hack.images.catalogue import CLUSTER_IMAGES, IMAGES
from hack.images.pipeline import Built, build_images, load_images

NAMES = [name for name in IMAGES if name not in CLUSTER_IMAGES and name != "tiny-qwen3"]
#: Mostly downloads and unpacking, for which the compiler leaves time.
BESIDE_THE_COMPILER = ("worker", "operator", "chain", "smollm2")
KIND = "kind-"


@dataclass(frozen=True)
class Target:
    """A cluster with the programs to use it. `layout` is None unless it is the local one."""

    kubeconfig: Path
    kubectl: Path
    helm: Path
    layout: Layout | None

    def run_kubectl(self, *arguments: str) -> str:
        """The output of kubectl. Raises Problem when it fails."""
        return run([self.kubectl, f"--kubeconfig={self.kubeconfig}", *arguments])

    def run_helm(self, *arguments: str) -> str:
        """The output of helm. Raises Problem when it fails."""
        return run([self.helm, f"--kubeconfig={self.kubeconfig}", *arguments])


def bring_up() -> Target:
    """The cluster of KUBECONFIG if that is set and is not the local one's; else the local one, started if need be.

    Raises Problem when there is none, or when it does not start.
    """
    layout = layout_for(Profile.FULL, None)
    given = os.environ.get("KUBECONFIG")
    if given and Path(given).resolve() != layout.kubeconfig.resolve():
        target = _given(Path(given))
        target.run_kubectl("version", "--request-timeout=15s")
        say(f"using the cluster of KUBECONFIG={given}")
        return target
    running = processes.find("kube-apiserver", layout.pids) is not None
    preflight.check(layout)
    with ThreadPoolExecutor(max_workers=1) as beside:
        images = beside.submit(build_images, BESIDE_THE_COMPILER, layout.cache)
        lifecycle.up(layout)
        images.result()
    if not running:
        _marker(layout).touch()
    return local(layout)


def take_down(layout: Layout) -> bool:
    """Stop the local cluster and delete its state if bring_up started it; returns whether it did."""
    if not _marker(layout).exists():
        return False
    lifecycle.down(layout, purge=True)
    return True


def _marker(layout: Layout) -> Path:
    return layout.state / "started-by-demo"


def find() -> Target | None:
    """The same cluster as bring_up, without starting anything; None where the local one was never started."""
    layout = layout_for(Profile.FULL, None)
    given = os.environ.get("KUBECONFIG")
    if given and Path(given).resolve() != layout.kubeconfig.resolve():
        return _given(Path(given))
    return local(layout) if layout.kubeconfig.exists() else None


def find_running() -> Target:
    """The same, where there must be one. Raises Problem."""
    target = find()
    if target is None:
        raise Problem("there is no demo: `make demo` first")
    return target


def local(layout: Layout) -> Target:
    """The local cluster."""
    return Target(layout.kubeconfig, layout.bin / "kubectl", layout.bin / "helm", layout)


def _given(kubeconfig: Path) -> Target:
    if not kubeconfig.exists():
        raise Problem(f"KUBECONFIG={kubeconfig} does not exist: unset it to use the local cluster")
    programs = {name: _program(name) for name in ("kubectl", "helm")}
    return Target(kubeconfig, programs["kubectl"], programs["helm"], None)


def _program(name: str) -> Path:
    found = shutil.which(name)
    return Path(found) if found else ensure_programs(cache_folder(), (name,))[name]


def provide_images(target: Target, *, present: bool) -> dict[str, str]:
    """Give the cluster the images and return what identifies each build, by name; nothing where they are there already.

    The local cluster gets them from the local builds, one made by kind from Docker. Raises Problem for other clusters.
    """
    if present:
        return {}
    if target.layout is not None:
        built: list[Built] = build_images(NAMES, target.layout.cache)
        load_images(built, target.layout)
        return {name: image.image_id for name, image in zip(NAMES, built, strict=True)}
    context = target.run_kubectl("config", "current-context").strip()
    if not context.startswith(KIND):
        raise Problem(
            f"how images get into the cluster of context {context} is not known: push {_references()} to where it "
            "pulls from, or load them into its nodes, and say so: make demo DEMO=--images-present"
        )
    return {name: _docker_image(name, context.removeprefix(KIND)) for name in NAMES}


def _docker_image(name: str, cluster: str) -> str:
    image = IMAGES[name]
    context = image.context(cache_folder())
    run(["docker", "build", "--tag", image.reference, "--file", REPOSITORY / image.dockerfile, context])
    run(["kind", "load", "docker-image", "--name", cluster, image.reference])
    return run(["docker", "image", "inspect", "--format={{.Id}}", image.reference]).strip()


def _references() -> str:
    return ", ".join(IMAGES[name].reference for name in NAMES)
