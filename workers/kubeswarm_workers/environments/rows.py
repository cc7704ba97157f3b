"""Rows of data, and what is in them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def field(row: Row, path: str) -> Any:
    """A field of a row, or one inside it, as in reward_model.ground_truth. Raises KeyError that lists what is there."""
    value: Any = row
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            there = ", ".join(map(str, value))[:300] if isinstance(value, Mapping) else type(value).__name__
            raise KeyError(f"a row has no field {path}: it has {there}; set the environment's fields")
        value = value[name]
    return value


def read(path: Path) -> Iterable[Row]:
    """The rows of a .jsonl or .parquet file."""
    if path.suffix == ".parquet":
        import pyarrow.parquet

        for batch in pyarrow.parquet.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()
    elif path.suffix == ".jsonl":
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise ValueError(f"{path}, line {number}: not a JSON object")
                    yield row
    else:
        raise ValueError(f"{path}: name it .jsonl (an object a line) or .parquet")
