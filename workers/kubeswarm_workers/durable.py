"""Files that survive a crash: whole or not there, and still there after a power cut."""

import os
from pathlib import Path


def write_synced(path: Path, data: bytes) -> None:
    """Writes `data` and waits until it is on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Waits until the directory's entries are on the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_file(path: Path, data: bytes) -> None:
    """Puts `data` at `path` in one step: a reader sees the old content or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    write_synced(temporary, data)
    temporary.replace(path)
    sync_directory(path.parent)
