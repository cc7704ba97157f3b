"""A store of images and layers of our own, filled by buildah, which builds Dockerfiles with no Docker engine."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hack.console import Problem, run

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
UV_CACHE = "/var/cache/uv-of-the-machine"


@dataclass(frozen=True)
class Layer:
    """A layer as an uncompressed tar: its name in the store, its digest, its size in bytes."""

    name: str
    digest: str
    size: int


@dataclass(frozen=True)
class Storage:
    """The store; it keeps apart from the machine's own."""

    cache: Path

    @property
    def root(self) -> Path:
        return self.cache / "containers"

    def build(self, dockerfile: Path, context: Path, tag: str, arguments: dict[str, str]) -> str:
        """Build a Dockerfile and return the image's id (the digest of its configuration, in hex).

        Raises Problem with the end of the build's output when it fails.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        options = ["--layers", "--isolation", "chroot", "--pull-never", "--force-rm", "--quiet"]
        for name, value in {**arguments, "UV_CACHE_DIR": UV_CACHE}.items():
            options += ["--build-arg", f"{name}={value}"]
        for volume in _client_volumes():
            options += ["--volume", volume]
        said = run(self._buildah("bud", *options, "--tag", tag, "--file", dockerfile, context))
        return said.strip().splitlines()[-1]

    def has(self, image_id: str) -> bool:
        try:
            self._image(image_id)
        except Problem:
            return False
        return True

    def configuration(self, image_id: str) -> bytes:
        """The image's OCI configuration; its digest is the image's id."""
        return run(self._storage("get-image-data", image_id, f"sha256:{image_id}")).encode()

    def layers(self, image_id: str) -> list[Layer]:
        """The image's layers, the lowest first."""
        found: list[Layer] = []
        name = self._image(image_id)["layer"]
        while name:
            layer = json.loads(run(self._storage("layer", "--json", name)))[0]
            found.append(Layer(name, layer["diff-digest"], layer["diff-size"]))
            name = layer.get("parent", "")
        return found[::-1]

    @contextmanager
    def open_layer(self, layer: Layer) -> Iterator[IO[bytes]]:
        """The layer's bytes, as they come; leaving before the end is an error."""
        command = [str(word) for word in self._storage("diff", "--uncompressed", layer.name)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as source:
            assert source.stdout
            yield source.stdout
        if source.returncode != 0:
            raise Problem(f"the layer {layer.digest} could not be read from {self.root}")

    def remove_unnamed(self) -> None:
        """Drop what newer builds have left without a name."""
        run(self._buildah("rmi", "--prune", "--force"))

    def _image(self, image_id: str) -> dict[str, Any]:
        return json.loads(run(self._storage("image", "--json", image_id)))[0]

    def _buildah(self, *words: str | Path) -> list[str | Path]:
        return ["buildah", "--root", self.root, "--runroot", self.root / "run", "--storage-driver", "overlay", *words]

    def _storage(self, command: str, *words: str) -> list[str | Path]:
        where = ["--graph", self.root, "--run", self.root / "run", "--storage-driver", "overlay"]
        return ["containers-storage", *where, command, *words]


def _client_volumes() -> list[str]:
    """What package clients within a RUN need of this machine: its certificate authorities and uv's cache."""
    paths = ssl.get_default_verify_paths()
    bundle = Path(os.environ.get("SSL_CERT_FILE") or paths.cafile or CA_BUNDLE)
    volumes = [f"{bundle}:{CA_BUNDLE}:ro"] if bundle.is_file() else []
    uv_cache = Path(os.environ.get("UV_CACHE_DIR", "~/.cache/uv")).expanduser()
    uv_cache.mkdir(parents=True, exist_ok=True)
    return [*volumes, f"{uv_cache}:{UV_CACHE}"]
