"""The command with its extras in an environment of its own, as a user installs it, from this checkout."""

import hashlib
import shutil
import subprocess
from pathlib import Path

from uv import find_uv_bin

from kubeswarm_workers.environments import venv

ROOT = Path(__file__).parents[4]
HOME = ROOT / "build" / "test-environments" / "loggers"
PACKAGES = ("api", "contracts", "cli")


def python() -> Path:
    """Its interpreter. What is installed is what the packages contain now: with another content it is made anew."""
    wheels = HOME / "wheels" / _digest()
    if not wheels.exists():
        unfinished = wheels.with_suffix(".part")
        for package in PACKAGES:
            command = [find_uv_bin(), "build", "--quiet", "--wheel", "--out-dir", unfinished, ROOT / package]
            subprocess.run(command, check=True)
        unfinished.replace(wheels)
    named = {f"kubeswarm-{each}": next(wheels.glob(f"kubeswarm_{each}-*.whl")).as_uri() for each in PACKAGES}
    extras = {"kubeswarm-cli": "[tensorboard,mlflow,wandb]"}
    found = venv.ensure(HOME, [f"{name}{extras.get(name, '')} @ {url}" for name, url in named.items()])
    for old in [*(HOME / "wheels").iterdir(), *HOME.glob("[0-9a-f]*")]:
        if old not in (wheels, found.parents[1]):
            shutil.rmtree(old, ignore_errors=True)
    return found


def _digest() -> str:
    """Of everything that goes into the wheels."""
    content = hashlib.sha256()
    for package in PACKAGES:
        folder = ROOT / package
        for path in [folder / "pyproject.toml", *sorted((folder / f"kubeswarm_{package}").rglob("*"))]:
            if path.is_file() and path.suffix != ".pyc":
                content.update(f"{path.relative_to(ROOT)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return content.hexdigest()[:16]
