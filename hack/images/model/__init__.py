"""Model folders for image volumes: one real and pretrained, one tiny and random, made by the scripts beside this."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from hack.cluster.layout import REPOSITORY
from hack.console import run, step

HERE = Path(__file__).parent
FILE_MODE = 0o644  # some are written for their owner alone, and a pod is another user
# On a machine without uv, `make setup` puts one into the build folder.
PATH = f"{os.environ['PATH']}:{REPOSITORY / 'build' / 'tools' / 'bin'}"


def smollm2(cache: Path) -> Path:
    """SmolLM2-135M-Instruct as a Hugging Face folder."""
    return _made_by(cache, "smollm2.py")


def tiny_qwen3(cache: Path) -> Path:
    """A Qwen3 of 0.4 million random parameters with a tokenizer of characters, for fast tests."""
    return _made_by(cache, "tiny_qwen3.py")


def _made_by(cache: Path, script: str) -> Path:
    """Run a script, which names its own dependencies, unless its folder is there from an earlier run."""
    source = HERE / script
    recipe = hashlib.sha256(source.read_bytes() + oct(FILE_MODE).encode()).hexdigest()[:12]
    folder = cache / "models" / f"{source.stem}-{recipe}"
    if not folder.exists():
        unfinished = folder.with_name(f".{folder.name}.part")
        with step(f"making the model of {script}"):
            shutil.rmtree(unfinished, ignore_errors=True)
            run(["uv", "run", "--no-project", "--script", source, unfinished], env={"PATH": PATH})
        for file in unfinished.iterdir():
            file.chmod(FILE_MODE)
        unfinished.rename(folder)
    return folder
