"""The Debian that images stand on where there is no registry, made by debootstrap.

Two images come from it: `base`, with a shell and apt, and `runtime`, which holds Python, what it loads, and nothing
else. On a machine with Docker the Dockerfiles' own default takes the place of both.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from hack.building import building
from hack.console import run, step
from hack.images.buildah import Storage

SUITE = "bookworm"
PACKAGES = ("ca-certificates", "python3", "python3-venv")
RUNTIME_PACKAGES = (
    "base-files",
    "ca-certificates",
    "libbz2-1.0",
    "libc6",
    "libcrypt1",
    "libexpat1",
    "libffi8",
    "libgcc-s1",
    "liblzma5",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libsqlite3-0",
    "libssl3",
    "libstdc++6",
    "libuuid1",
    "media-types",
    "python3-minimal",
    "python3.11-minimal",
    "zlib1g",
)
NOT_NEEDED = (
    "usr/share/doc",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/lib/apt/lists",
)
NOT_NEEDED_AT_RUN_TIME = (
    *NOT_NEEDED,
    "usr/lib/python3.11/ensurepip",
    "usr/lib/python3.11/idlelib",
    "usr/lib/python3.11/lib2to3",
    "usr/lib/python3.11/pydoc_data",
    "usr/lib/python3.11/test",
    "usr/lib/python3.11/turtle.py",
    "usr/lib/x86_64-linux-gnu/gconv",
)
# Files that the packages' scripts make, and that no package lists.
MADE_FILES = ("etc/group", "etc/passwd", "etc/ssl/certs", "etc/nsswitch.conf", "etc/ld.so.cache")
RECIPE = hashlib.sha256(
    repr((SUITE, PACKAGES, RUNTIME_PACKAGES, NOT_NEEDED, NOT_NEEDED_AT_RUN_TIME, MADE_FILES)).encode()
).hexdigest()[:12]


def ensure_bases(storage: Storage) -> dict[str, str]:
    """Make the two images unless they are there; returns their ids as the build arguments BASE and RUNTIME."""
    with building(storage.cache / "images", "base"):
        return _bases(storage)


def _bases(storage: Storage) -> dict[str, str]:
    folder = storage.cache / "base" / RECIPE
    ids = folder / "ids"
    if ids.exists():
        base, runtime = ids.read_text().split()
        if storage.has(base) and storage.has(runtime):
            return {"BASE": base, "RUNTIME": runtime}
    root = folder / "root"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with step("making the base images with debootstrap"):
        include = f"--include={','.join(PACKAGES)}"
        run(["debootstrap", "--variant=minbase", include, SUITE, root])
        base = _commit(storage, root, "base", [f"--exclude=./{name}/*" for name in NOT_NEEDED])
        listing = folder / "runtime-files"
        listing.write_text("\n".join(_runtime_files(root)) + "\n")
        runtime = _commit(storage, root, "runtime", ["--no-recursion", f"--files-from={listing}"])
    shutil.rmtree(root)
    ids.write_text(f"{base} {runtime}\n")
    return {"BASE": base, "RUNTIME": runtime}


def _commit(storage: Storage, root: Path, name: str, selection: list[str]) -> str:
    context = root.parent / name
    context.mkdir()
    run(["tar", "--create", f"--file={context}/root.tar", f"--directory={root}", *selection, *_all(selection)])
    (context / "Dockerfile").write_text(
        'FROM scratch\nADD root.tar /\nENV PATH="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"\n'
    )
    image_id = storage.build(context / "Dockerfile", context, f"localhost/kubeswarm/{name}:{RECIPE}", {})
    shutil.rmtree(context)
    return image_id


def _all(selection: list[str]) -> list[str]:
    return [] if any(word.startswith("--files-from") for word in selection) else ["."]


def _runtime_files(root: Path) -> list[str]:
    """What the runtime packages and their scripts put into the root, relative to it, parents first."""
    wanted: set[str] = set()
    for package in RUNTIME_PACKAGES:
        info = root / "var/lib/dpkg/info"
        listing = next(file for file in (info / f"{package}.list", info / f"{package}:amd64.list") if file.exists())
        # Debian 12 has merged /lib into /usr/lib, while its packages still list the old paths.
        names = (line.lstrip("/") for line in listing.read_text().splitlines() if line not in ("/.", ""))
        wanted.update(f"usr/{name}" if name.startswith(("lib/", "lib64/", "bin/", "sbin/")) else name for name in names)
    for name in MADE_FILES:
        path = root / name
        wanted.add(name)
        if path.is_dir():
            wanted.update(str(inner.relative_to(root)) for inner in path.rglob("*"))
    wanted.update(("bin", "lib", "lib64", "sbin", "tmp", "usr/bin", "usr/lib", "usr/lib64"))
    kept = {name for name in wanted if not f"{name}/".startswith(tuple(f"{skip}/" for skip in NOT_NEEDED_AT_RUN_TIME))}
    return sorted(name for name in kept if (root / name).exists() or (root / name).is_symlink())
