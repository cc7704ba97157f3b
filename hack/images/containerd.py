"""Giving images to the cluster's container runtime, without what it already holds."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path

from hack.cluster.layout import Layout
from hack.console import Problem, run, step

NAMESPACE = "k8s.io"  # where the kubelet looks


def ctr(layout: Layout, *words: str) -> list[str | Path]:
    if not layout.containerd_socket.is_socket():
        raise Problem("the cluster's container runtime does not run: `python3 -m hack.cluster up` first")
    return [layout.bin / "ctr", "--address", layout.containerd_socket, "--namespace", NAMESPACE, *words]


def blobs(layout: Layout) -> set[str]:
    """Digests of all that the runtime's content store holds."""
    return set(run(ctr(layout, "content", "ls", "--quiet")).split())


def blob_size(layout: Layout, digest: str) -> int:
    """Size of a blob of the content store in bytes."""
    return (layout.state / "containerd/io.containerd.content.v1.content/blobs/sha256" / digest[7:]).stat().st_size


def images(layout: Layout) -> dict[str, str]:
    """The runtime's images: the digest of its manifest by name."""
    lines = run(ctr(layout, "images", "ls")).splitlines()[1:]
    return {fields[0]: fields[2] for fields in map(str.split, lines)}


def import_archive(layout: Layout, archive: str) -> None:
    """Give the runtime an OCI or Docker archive as it is."""
    with step(f"importing {archive}"):
        run(ctr(layout, "images", "import", archive))


def import_layout(layout: Layout, folder: Path, leave_out: set[str]) -> None:
    """Give the runtime the image in an OCI layout folder, without the blobs that it holds.

    The archive is made on the way, so that the layers, gigabytes of them, are not written once more.
    """
    command = [str(word) for word in ctr(layout, "images", "import", "--local", "--no-unpack=false", "-")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as sink:
        assert sink.stdin and sink.stdout
        try:
            with tarfile.open(fileobj=sink.stdin, mode="w|", bufsize=4 << 20) as archive:
                for path in sorted(folder.rglob("*")):
                    if path.is_file() and f"sha256:{path.name}" not in leave_out:
                        archive.add(path, str(path.relative_to(folder)))
            sink.stdin.close()
        except BrokenPipeError:
            pass  # its own words, below, say why it stopped to read
        said = sink.stdout.read().decode(errors="replace")
        status = sink.wait()
    if status != 0:
        raise Problem(f"the container runtime refused the image in {folder}:\n  {said.strip()}")


def manifest_digest(folder: Path) -> str:
    """The digest of the one image in an OCI layout folder."""
    return json.loads((folder / "index.json").read_text())["manifests"][0]["digest"]

