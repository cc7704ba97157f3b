"""The trained model as a directory in Hugging Face format: merged, in the engines' type, ready to be served."""

import json
import shutil
from pathlib import Path

from kubeswarm_api.encoding import canonical_json
from kubeswarm_workers.durable import sync_directory, write_synced, write_tensors
from kubeswarm_workers.learn.model import Policy

#: Everything of the base model's directory that is not weights goes along, up to this size a file.
MAX_COPIED_BYTES = 64 * 1024 * 1024
#: Says after which round the model was left.
ROUND_FILE = "kubeswarm.json"
WEIGHTS = (".safetensors", ".bin", ".gguf", ".pt", ".safetensors.index.json")


def export(policy: Policy, base: Path, target: Path, round: int) -> None:
    """Writes the model to `target`, replacing what was there; a crash leaves the old one or the new one.

    Raises OSError.
    """
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for path in base.iterdir():
        if path.is_file() and not path.name.endswith(WEIGHTS) and path.stat().st_size <= MAX_COPIED_BYTES:
            shutil.copyfile(path, temporary / path.name)
    weights = {name: value.cpu().contiguous() for name, _, value in policy.tensors()}
    write_tensors(weights, temporary / "model.safetensors")
    write_synced(temporary / ROUND_FILE, canonical_json({"round": round}))
    sync_directory(temporary)
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)
    sync_directory(target.parent)


def exported_round(target: Path) -> int | None:
    """The round after which the model at `target` was left; None if there is no model."""
    marker = target / ROUND_FILE
    return json.loads(marker.read_bytes())["round"] if marker.is_file() else None
