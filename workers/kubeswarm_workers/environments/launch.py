"""From the spec to how the environment's process is started: interpreter, files, limits."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubeswarm_workers
from kubeswarm_api import names
from kubeswarm_api.spec_environment import Environment
from kubeswarm_workers.environments import venv
from kubeswarm_workers.place import Place

#: What the environment has no business with, though it is in the trainer's own environment.
WITHHELD = ("RAY_", "KUBESWARM_", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Launch:
    """`command` and `env` of the process, its `first` request, and seconds to score a prompt's answers, or to start."""

    command: tuple[str, ...]
    env: dict[str, str]
    first: dict[str, Any]
    score_seconds: float
    start_seconds: float


def launch(spec: Environment, seed: int, held_out_items: int, place: Place) -> Launch:
    """How to start the environment. Installs its packages where it names any. Raises EnvironmentFailed."""
    kind, content = spec.kind()
    path = place.path(names.ENVIRONMENTS_DIR)
    first = {
        "kind": kind,
        "spec": content,
        "seed": seed,
        "heldOutItems": held_out_items,
        "files": str(place.path(names.ENVIRONMENT_FILES)),
        "memory": spec.limits.memory_mebibytes << 20,
    }
    return Launch(
        # -P: what lies in the working directory is not to be imported by accident
        command=(python(spec, path), "-P", "-m", "kubeswarm_workers.environments.serve"),
        env=environment_variables(),
        first=first,
        score_seconds=spec.limits.seconds,
        start_seconds=spec.limits.start_seconds,
    )


def python(spec: Environment, directory: Path) -> str:
    """The interpreter that the environment runs in; one with its requirements is made under `directory`."""
    if spec.interpreter is None:
        return sys.executable
    if spec.interpreter.path is not None:
        return spec.interpreter.path
    return str(venv.ensure(directory, spec.interpreter.requirements or []))


def environment_variables() -> dict[str, str]:
    """The process's: the trainer's own without what is withheld, and where to find this package's source."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(WITHHELD)}
    return {**kept, "PYTHONPATH": str(Path(kubeswarm_workers.__file__).parents[1])}
