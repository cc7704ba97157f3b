"""Compares what Slither found with accepted.json, the list of findings that were looked at, each with its reason.

Fails on a finding that is not in the list, and on an entry that Slither no longer finds. `make -C contracts slither`
runs this on Slither's JSON output.
"""

import json
import sys
from pathlib import Path
from typing import Any

ACCEPTED = Path(__file__).parent / "accepted.json"


def name(finding: dict[str, Any]) -> str:
    """`detector Contract.member`: what was found and where, without lines, which move."""
    element = finding["elements"][0]
    parent = element["type_specific_fields"]["parent"]["name"]
    return f"{finding['check']} {parent}.{element['name']}"


def main(report: Path) -> None:
    result = json.loads(report.read_text())
    if not result["success"]:
        sys.exit(f"Slither did not run: {result['error']}")
    found = {name(each): each["description"] for each in result["results"].get("detectors", [])}
    accepted = json.loads(ACCEPTED.read_text())
    problems = [f"new: {each}\n{found[each]}" for each in sorted(found.keys() - accepted.keys())]
    problems += [f"found no more, take it from the list: {each}" for each in sorted(accepted.keys() - found.keys())]
    if problems:
        sys.exit("\n".join(problems))
    print(f"{len(found)} findings, all accepted in {ACCEPTED.name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
