"""Fails where a generated file is out of step with the code it comes from. Leaves the files as they were."""

import sys
from pathlib import Path

from hack.generate import crds, dashboard, failures, reference

ROOT = Path(__file__).parents[2]
GENERATED = ("crds", "charts/kubeswarm/files/crds", "charts/kubeswarm/dashboards", "docs/reference")


def _contents() -> dict[Path, bytes]:
    folders = [path for folder in GENERATED for path in (ROOT / folder).rglob("*")]
    return {path: path.read_bytes() for path in (*folders, failures.PAGE) if path.is_file()}


def main() -> int:
    """0 when all files are as `make generate` makes them, 1 otherwise."""
    before = _contents()
    for generator in (crds, dashboard, failures, reference):
        generator.main()
    after = _contents()
    stale = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    for path in stale:
        if path in before:
            path.write_bytes(before[path])
        else:
            path.unlink()
        print(f"out of step with the code: {path.relative_to(ROOT)}", file=sys.stderr)
    if stale:
        print("run `make generate` and commit what it wrote", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
