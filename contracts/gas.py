"""Writes the gas figures that the tests measured to snapshots/, or with --check fails where they have changed.

gas.json holds the figures that have limits or that others compare; operations.json all others. `make -C contracts
generate` and `verify` measure and run this.
"""

import argparse
import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
MEASURED = HERE / "out/gas/gas.json"
SNAPSHOTS = HERE / "snapshots"
#: Figure to the most that it may be, in gas; None where there is no limit.
LIMITS = {
    "round_at_16": 30_000,
    "rollout_at_1000": 30,
    "rotate_key": 80_000,
    "prove_round": 45_000,
    "prove_rollout": 45_000,
    "claim_first": 80_000,
    "claim_repeat": 40_000,
    "register": None,
}


def files(measured: dict[str, int]) -> dict[Path, str]:
    """The snapshots' content. Raises KeyError where a figure with a limit was not measured."""
    others = {name: gas for name, gas in sorted(measured.items()) if name not in LIMITS}
    return {
        SNAPSHOTS / "gas.json": json.dumps({name: measured[name] for name in LIMITS}, indent=2) + "\n",
        SNAPSHOTS / "operations.json": json.dumps(others, indent=2) + "\n",
    }


def changes(content: dict[Path, str]) -> list[str]:
    """One line a figure that is not what the snapshots say."""
    found: list[str] = []
    for path, text in content.items():
        now, then = json.loads(text), json.loads(path.read_text()) if path.is_file() else {}
        for name in sorted(now.keys() | then.keys()):
            if now.get(name) != then.get(name):
                found.append(f"{name}: {then.get(name)} in {path.name}, now {now.get(name)}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    options = parser.parse_args()
    measured = {name: int(gas) for name, gas in json.loads(MEASURED.read_text()).items()}
    content = files(measured)
    over = [f"{name} takes {measured[name]} gas, at most {limit}" for name, limit in LIMITS.items()
            if limit is not None and measured[name] > limit]  # fmt: skip
    if over:
        sys.exit("\n".join(over))
    if not options.check:
        SNAPSHOTS.mkdir(exist_ok=True)
        for path, text in content.items():
            path.write_text(text)
    elif found := changes(content):
        sys.exit("\n".join(["the gas figures have changed: run make -C contracts generate", *found]))


if __name__ == "__main__":
    main()
