"""The trained model as a directory in Hugging Face format: merged, in the engines' type, ready to be served."""

import shutil
from pathlib import Path

from safetensors.torch import save_file

from kubeswarm_workers.durable import sync_directory
from kubeswarm_workers.learn.model import Policy

#: Everything of the base model's directory that is not weights goes along, up to this size a file.
MAX_COPIED_BYTES = 64 * 1024 * 1024
WEIGHTS = (".safetensors", ".bin", ".gguf", ".pt", ".safetensors.index.json")


def export(policy: Policy, base: Path, target: Path) -> None:
    """Writes the model to `target`, replacing what was there; a crash leaves the old one or the new one."""
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for path in base.iterdir():
        if path.is_file() and not path.name.endswith(WEIGHTS) and path.stat().st_size <= MAX_COPIED_BYTES:
            shutil.copyfile(path, temporary / path.name)
    weights = {name: value.cpu().contiguous() for name, _, value in policy.tensors()}
    save_file(weights, temporary / "model.safetensors", metadata={"format": "pt"})
    sync_directory(temporary)
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)
    sync_directory(target.parent)
