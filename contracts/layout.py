"""Writes the contracts' storage layout to snapshots/storage.json, or with --check fails where it has changed.

A contract that holds money or history is never changed in place; the layout is what others read by slot (proofs against
a state root, block explorers), so that a change of it must be seen. `make -C contracts generate` and `verify` run this.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SNAPSHOT = HERE / "snapshots/storage.json"
CONTRACTS = ("NodeRegistry", "SwarmRegistry", "RoundResolver", "ReputationRegistry", "Treasury", "Crowdfunding")


def lines(layout: dict[str, Any]) -> dict[str, list[str]]:
    """`slot+offset type name` of each variable, under "", and of each member of a struct, under the struct's name."""
    types = layout["types"] or {}

    def each(members: list[dict[str, Any]]) -> list[str]:
        return [f"{each['slot']}+{each['offset']} {types[each['type']]['label']} {each['label']}" for each in members]

    structs = {kind["label"]: each(kind["members"]) for kind in types.values() if "members" in kind}
    return {"": each(layout["storage"])} | dict(sorted(structs.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    options = parser.parse_args()
    found = {
        name: lines(json.loads((HERE / f"out/{name}.sol/{name}.json").read_text())["storageLayout"])
        for name in CONTRACTS
    }
    text = json.dumps(found, indent=2) + "\n"
    if not options.check:
        SNAPSHOT.write_text(text)
    elif not SNAPSHOT.is_file() or SNAPSHOT.read_text() != text:
        sys.exit(f"the storage layout has changed from {SNAPSHOT.name}: run make -C contracts generate")


if __name__ == "__main__":
    main()
