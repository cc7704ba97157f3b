"""Building the images that changed, and giving the cluster those that it lacks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hack.building import building
from hack.cluster.layout import REPOSITORY, Layout
from hack.console import Problem, step
from hack.images import containerd
from hack.images.base import ensure_bases
from hack.images.buildah import Storage
from hack.images.catalogue import IMAGES, Image

REGISTRY = "docker.io"  # what Kubernetes puts before a name that gives no registry
SKIPPED_FOLDERS = {"__pycache__", "node_modules", ".venv"}


@dataclass(frozen=True)
class Built:
    """An image of the local store, by its name in manifests and its id there."""

    reference: str
    image_id: str


def build_images(names: Sequence[str], cache: Path) -> list[Built]:
    """Build the named images unless nothing that goes into them has changed.

    Raises Problem when a name is unknown or a build fails.
    """
    unknown = [name for name in names if name not in IMAGES]
    if unknown:
        raise Problem(f"no image is called {', '.join(unknown)}; there are {', '.join(IMAGES)}")
    storage = Storage(cache)
    bases = ensure_bases(storage) if any(IMAGES[name].bases for name in names) else {}
    return [_build(name, IMAGES[name], storage, bases) for name in names]


def load_images(built: Sequence[Built], layout: Layout) -> None:
    """Give the cluster's container runtime the images, of each only the blobs that it lacks."""
    there = containerd.images(layout)
    for image in built:
        name = f"{REGISTRY}/{image.reference}"
        if name in there and there[name] == there.get(f"sha256:{image.image_id}"):
            continue
        with step(f"loading {image.reference}"):
            containerd.import_image(layout, Storage(layout.cache), image.image_id, name)
    containerd.remove_unnamed(layout)


def _build(name: str, image: Image, storage: Storage, bases: dict[str, str]) -> Built:
    with building(storage.cache / "images", name):
        context = image.context(storage.cache)
        arguments = {argument: bases[argument] for argument in image.bases}
        key = _key(image, context, arguments)
        stamp = storage.cache / "images" / f"{name}.json"
        known = json.loads(stamp.read_text()) if stamp.exists() else {}
        if known.get("key") == key and storage.has(known["id"]):
            return Built(image.reference, known["id"])
        with step(f"building {image.reference}"):
            image_id = storage.build(REPOSITORY / image.dockerfile, context, f"localhost/{image.reference}", arguments)
        stamp.write_text(json.dumps({"key": key, "id": image_id}))
    return Built(image.reference, image_id)


def _key(image: Image, context: Path, arguments: dict[str, str]) -> str:
    """A digest of all that decides what the image holds."""
    digest = hashlib.sha256(repr((image.reference, sorted(arguments.items()))).encode())
    if not context.is_relative_to(REPOSITORY):
        digest.update(str(context).encode())
    for path in _files((image.dockerfile, *image.sources)):
        digest.update(f"{path.relative_to(REPOSITORY)}\0{path.stat().st_mode & 0o111}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(names: Sequence[str]) -> Iterator[Path]:
    for name in names:
        path = REPOSITORY / name
        if path.is_file():
            yield path
        for inner in sorted(path.rglob("*")) if path.is_dir() else ():
            if inner.is_file() and not SKIPPED_FOLDERS.intersection(inner.parts):
                yield inner
