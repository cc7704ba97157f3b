"""Giving images to the cluster's container runtime, without what it already holds."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
import time
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

from hack.cluster.layout import Layout
from hack.console import Problem, run, step
from hack.images.buildah import Layer, Storage

NAMESPACE = "k8s.io"  # where the kubelet looks
MANAGED = "io.cri-containerd.image"  # the label of images that the kubelet's side of the runtime knows
NOTICE_SECONDS = 30


def images(layout: Layout) -> dict[str, str]:
    """The runtime's images: the digest of its manifest by name. The ids of the images are names too."""
    lines = run(_ctr(layout, "images", "ls")).splitlines()[1:]
    return {fields[0]: fields[2] for fields in map(str.split, lines)}


def import_archive(layout: Layout, archive: str) -> None:
    """Give the runtime an OCI or Docker archive as it is."""
    with step(f"importing {archive}"):
        before = images(layout)
        run(_ctr(layout, "images", "import", archive))
        for name in {name for name, digest in images(layout).items() if before.get(name, digest) != digest}:
            if not name.startswith("sha256:"):
                _have_noticed(layout, name)


def import_image(layout: Layout, storage: Storage, image_id: str, name: str) -> None:
    """Give the runtime an image of the local store, of its layers only those that it lacks.

    The layers, gigabytes of them, flow from one store to the other and are written nowhere between.
    """
    held = set(run(_ctr(layout, "content", "ls", "--quiet")).split())
    layers = storage.layers(image_id)
    config = storage.configuration(image_id)
    command = [str(word) for word in _ctr(layout, "images", "import", "--local", "-")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as sink:
        assert sink.stdin and sink.stdout
        try:
            with tarfile.open(fileobj=sink.stdin, mode="w|", bufsize=1 << 20) as archive:
                archive.copybufsize = 1 << 20  # type: ignore[attr-defined]
                for path, content in _documents(name, config, layers).items():
                    _add(archive, path, len(content), BytesIO(content))
                for layer in {layer.digest: layer for layer in layers if layer.digest not in held}.values():
                    with storage.open_layer(layer) as content:
                        _add(archive, _blob(layer.digest), layer.size, content)
            sink.stdin.close()
        except BrokenPipeError:
            pass  # its own words, below, say why it stopped to read
        said = sink.stdout.read().decode(errors="replace")
        status = sink.wait()
    if status != 0:
        raise Problem(f"the container runtime refused {name}:\n  {said.strip()}")
    _have_noticed(layout, name)
    _wait_for_id(layout, name, f"sha256:{image_id}")


def remove_unnamed(layout: Layout) -> None:
    """Drop the images that have lost their name to a newer one and that no container was made from."""
    there = images(layout)
    named = {digest for name, digest in there.items() if not name.startswith("sha256:")}
    used = set(run(_ctr(layout, "containers", "ls")).split())
    for name, digest in there.items():
        if name.startswith("sha256:") and digest not in named and name not in used:
            run(_ctr(layout, "images", "rm", name))


def _have_noticed(layout: Layout, name: str) -> None:
    """Have the kubelet's side of the runtime look at an image again whose name was there before.

    It gives an image its id as a second name, by which image volumes are found, only if the label is not there.
    """
    run(_ctr(layout, "images", "label", name, f"{MANAGED}="))


def _wait_for_id(layout: Layout, name: str, image_id: str) -> None:
    deadline = time.monotonic() + NOTICE_SECONDS
    while (there := images(layout)).get(image_id) != there[name]:
        if time.monotonic() > deadline:
            raise Problem(f"the container runtime holds {name} but does not offer it to the kubelet")
        time.sleep(0.2)


def _documents(name: str, config: bytes, layers: Iterable[Layer]) -> dict[str, bytes]:
    """The small files of an OCI image layout, by path."""
    kind = "application/vnd.oci.image"
    manifest = _encoded(
        {
            "schemaVersion": 2,
            "mediaType": f"{kind}.manifest.v1+json",
            "config": _descriptor(f"{kind}.config.v1+json", _digest(config), len(config)),
            "layers": [_descriptor(f"{kind}.layer.v1.tar", layer.digest, layer.size) for layer in layers],
        }
    )
    entry = _descriptor(f"{kind}.manifest.v1+json", _digest(manifest), len(manifest))
    index = {"schemaVersion": 2, "manifests": [{**entry, "annotations": {"io.containerd.image.name": name}}]}
    return {
        "oci-layout": _encoded({"imageLayoutVersion": "1.0.0"}),
        "index.json": _encoded(index),
        _blob(_digest(manifest)): manifest,
        _blob(_digest(config)): config,
    }


def _descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size}


def _encoded(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _blob(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _add(archive: tarfile.TarFile, path: str, size: int, content: Any) -> None:
    entry = tarfile.TarInfo(path)
    entry.size = size
    archive.addfile(entry, content)


def _ctr(layout: Layout, *words: str) -> list[str | Path]:
    if not layout.containerd_socket.is_socket():
        raise Problem("the cluster's container runtime does not run: `python3 -m hack.cluster up` first")
    return [layout.bin / "ctr", "--address", layout.containerd_socket, "--namespace", NAMESPACE, *words]
