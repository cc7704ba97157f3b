"""A virtual environment with the packages that an environment asks for: made once, kept by what is in it."""

import fcntl
import hashlib
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from uv import find_uv_bin

from kubeswarm_workers.environments.contract import EnvironmentFailed

log = logging.getLogger(__name__)

INSTALL_SECONDS = 900.0
#: Written last: without it a directory is the rest of an attempt that was cut off.
COMPLETE = "complete"


def ensure(directory: Path, requirements: Sequence[str]) -> Path:
    """The interpreter of a virtual environment under `directory` with exactly these requirements and what they need.

    Raises EnvironmentFailed with the installer's last words.
    """
    key = hashlib.sha256("\n".join([sys.version, *sorted(requirements)]).encode()).hexdigest()[:16]
    home = directory / key
    interpreter = home / "bin" / "python"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / f".{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (home / COMPLETE).exists():
            return interpreter
        shutil.rmtree(home, ignore_errors=True)
        log.info("installing the environment's packages", extra={"requirements": list(requirements)})
        _uv(directory, "venv", "--no-project", "--python", sys.executable, str(home))
        _uv(directory, "pip", "install", "--python", str(interpreter), "--", *requirements)
        (home / COMPLETE).touch()
    return interpreter


def _uv(directory: Path, *arguments: str) -> None:
    env = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    env.setdefault("UV_CACHE_DIR", str(directory / ".cache"))
    env.pop("VIRTUAL_ENV", None)
    command = [find_uv_bin(), "--quiet", "--no-config", *arguments]
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise EnvironmentFailed(f"installing the environment's packages took over {INSTALL_SECONDS:g} s") from error
    if done.returncode != 0:
        raise EnvironmentFailed(
            f"the environment's packages can't be installed: {done.stderr.strip()[-1500:]}; "
            "check environment.interpreter.requirements, and that the pod reaches a package index"
        )
