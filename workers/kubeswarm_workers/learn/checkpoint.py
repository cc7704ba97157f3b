"""Checkpoints: one directory a finished round, there as a whole or not at all.

Everything is written into a temporary directory and synced, the manifest with the digests of all files last; then the
directory is renamed and its parent synced. On reading, the newest directory whose files match its manifest counts.
"""

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors.torch import load_file

from kubeswarm_api.encoding import canonical_json, digest
from kubeswarm_api.spec_training import Retention
from kubeswarm_workers.durable import sync_directory, write_synced, write_tensors

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
STATE = "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """What was read: tensors by file name (without suffix), the JSON state, and other files by name."""

    round: int
    directory: Path
    tensors: dict[str, dict[str, torch.Tensor]]
    state: dict[str, Any]
    files: dict[str, bytes]


def directory_of(folder: Path, round: int) -> Path:
    """The directory of a round's checkpoint."""
    return folder / f"round-{round:08d}"


def save(
    folder: Path,
    round: int,
    tensors: Mapping[str, Mapping[str, torch.Tensor]],
    state: Mapping[str, Any],
    files: Mapping[str, bytes] = MappingProxyType({}),
    keep: Retention = Retention(),  # noqa: B008 - immutable
) -> Path:
    """Writes the checkpoint of `round`, removes what `keep` does not ask for, and returns its directory.

    Raises OSError (disk full, read-only); what was there before is then untouched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = directory_of(folder, round)
    temporary = folder / f".{target.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        digests: dict[str, str] = {}
        for name, group in tensors.items():
            path = temporary / f"{name}.safetensors"
            write_tensors({key: value.detach().cpu().contiguous() for key, value in group.items()}, path)
            digests[path.name] = _digest(path)
        for name, content in {**files, STATE: canonical_json(state)}.items():
            write_synced(temporary / name, content)
            digests[name] = _digest(temporary / name)
        write_synced(temporary / MANIFEST, canonical_json({"round": round, "files": digests}))
        sync_directory(temporary)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if target.exists():  # of a run whose checkpoint was found corrupt; its content is of no use
        shutil.rmtree(target)
    temporary.rename(target)
    sync_directory(folder)
    for old in rounds(folder)[: -keep.checkpoints]:
        if not keep.checkpoint_every or old % keep.checkpoint_every:
            shutil.rmtree(directory_of(folder, old), ignore_errors=True)
    return target


def latest(folder: Path) -> Checkpoint | None:
    """The newest complete checkpoint; corrupt ones are reported and passed over."""
    for number in reversed(rounds(folder)):
        try:
            return read(folder, number)
        except (OSError, ValueError, KeyError) as error:
            path = directory_of(folder, number)
            log.error("corrupt checkpoint, the one before is used", extra={"path": path, "cause": str(error)})
    return None


def size(directory: Path) -> int:
    """Bytes of a checkpoint."""
    return sum(path.stat().st_size for path in directory.iterdir())


def rounds(folder: Path) -> list[int]:
    """The rounds of which there is a checkpoint, in order."""
    return sorted(int(path.name.removeprefix("round-")) for path in folder.glob("round-*"))


def _digest(path: Path) -> str:
    return digest(path.read_bytes()).hex()


def read(folder: Path, round: int) -> Checkpoint:
    """A round's checkpoint. Raises OSError, ValueError, KeyError if it is not there, or damaged."""
    directory = directory_of(folder, round)
    manifest = json.loads((directory / MANIFEST).read_bytes())
    for name, expected in manifest["files"].items():
        if _digest(directory / name) != expected:
            raise ValueError(f"{name} does not match the manifest")
    names = manifest["files"].keys()
    tensors = {Path(name).stem: load_file(directory / name) for name in names if name.endswith(".safetensors")}
    files = {name: (directory / name).read_bytes() for name in names if not name.endswith(".safetensors")}
    state = json.loads(files.pop(STATE))
    return Checkpoint(manifest["round"], directory, tensors, state, files)
