"""The calls to buildah, which builds an ordinary Dockerfile with no Docker engine."""

from __future__ import annotations

import json
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.console import Problem, run

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
UV_CACHE = "/var/cache/uv-of-the-machine"


@dataclass(frozen=True)
class Storage:
    """A store of images and layers of our own, apart from the machine's."""

    cache: Path

    def command(self, *words: str | Path) -> list[str | Path]:
        root = self.cache / "containers"
        return ["buildah", "--root", root, "--runroot", root / "run", "--storage-driver", "overlay", *words]

    def build(self, dockerfile: Path, context: Path, tag: str, arguments: dict[str, str]) -> str:
        """Build a Dockerfile and return the image's id (the digest of its configuration, in hex)."""
        id_file = self.cache / "containers" / "built-id"
        options: list[str | Path] = ["--layers", "--isolation", "chroot", "--pull-never", "--iidfile", id_file]
        for name, value in {**arguments, "UV_CACHE_DIR": UV_CACHE}.items():
            options += ["--build-arg", f"{name}={value}"]
        for volume in _client_volumes():
            options += ["--volume", volume]
        run(self.command("bud", *options, "--tag", tag, "--file", dockerfile, context))
        return id_file.read_text().removeprefix("sha256:").strip()

    def has(self, image_id: str) -> bool:
        try:
            run(self.command("inspect", "--type", "image", image_id))
        except Problem:
            return False
        return True

    def configuration(self, image_id: str) -> dict[str, Any]:
        """The image's OCI configuration."""
        return json.loads(run(self.command("inspect", "--type", "image", image_id)))["OCIv1"]

    def push(self, image_id: str, layout: Path, tag: str) -> None:
        """Copy an image to a folder in the OCI layout, its layers uncompressed; blobs that are there stay."""
        target = f"oci:{layout}:{tag}"
        run(self.command("push", "--quiet", "--disable-compression", "--format", "oci", image_id, target))

    def prune(self) -> None:
        """Drop layers that no tagged image needs."""
        run(self.command("rmi", "--prune", "--force"))


def _client_volumes() -> list[str]:
    """What package clients within a RUN need of this machine: its certificate authorities and uv's cache."""
    paths = ssl.get_default_verify_paths()
    bundle = Path(os.environ.get("SSL_CERT_FILE") or paths.cafile or CA_BUNDLE)
    volumes = [f"{bundle}:{CA_BUNDLE}:ro"] if bundle.is_file() else []
    uv_cache = Path(os.environ.get("UV_CACHE_DIR", "~/.cache/uv")).expanduser()
    uv_cache.mkdir(parents=True, exist_ok=True)
    return [*volumes, f"{uv_cache}:{UV_CACHE}"]
