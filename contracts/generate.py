"""Writes what the Python client ships of the contracts, or with --check fails where it is out of step.

artifacts/<contract>.json: ABI and creation bytecode, EAS's own from its package. deployments/31337.json: the addresses
on a development chain. Run through `make -C contracts generate` and `verify`.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
EAS = HERE / "node_modules/@ethereum-attestation-service/eas-contracts/artifacts/contracts"
SOURCES = {
    "EAS": EAS / "EAS.sol/EAS.json",
    "SchemaRegistry": EAS / "SchemaRegistry.sol/SchemaRegistry.json",
    "NodeRegistry": HERE / "out/NodeRegistry.sol/NodeRegistry.json",
    "SwarmRegistry": HERE / "out/SwarmRegistry.sol/SwarmRegistry.json",
    "RoundResolver": HERE / "out/RoundResolver.sol/RoundResolver.json",
    "ReputationRegistry": HERE / "out/ReputationRegistry.sol/ReputationRegistry.json",
    "Treasury": HERE / "out/Treasury.sol/Treasury.json",
    "Crowdfunding": HERE / "out/Crowdfunding.sol/Crowdfunding.json",
}


def artifact(name: str) -> dict[str, Any]:
    """Name, ABI and creation bytecode of a compiled contract, Foundry's or Hardhat's form."""
    source = json.loads(SOURCES[name].read_text())
    bytecode = source["bytecode"]
    return {
        "contractName": name,
        "abi": source["abi"],
        "bytecode": bytecode if isinstance(bytecode, str) else bytecode["object"],
    }


def artifacts() -> dict[str, str]:
    """The artifact files, name to content."""
    return {f"artifacts/{name}.json": json.dumps(artifact(name), indent=1) + "\n" for name in SOURCES}


def deployments() -> dict[str, str]:
    """The deployment files; they follow from the artifacts that the package has by now."""
    from kubeswarm_contracts.plan import plan

    return {"deployments/31337.json": json.dumps(plan(31337).deployment.to_json(), indent=2) + "\n"}


def write(package: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def stale(package: Path, files: dict[str, str]) -> list[str]:
    """The names of the files that are missing or differ."""
    return [
        name
        for name, content in files.items()
        if not (package / name).is_file() or (package / name).read_text() != content
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path, help="folder of kubeswarm_contracts")
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    options = parser.parse_args()
    if not options.check:
        write(options.package, artifacts())
        write(options.package, deployments())
        return
    # A stale artifact makes the deployment stale too: one report is enough.
    names = stale(options.package, artifacts()) or stale(options.package, deployments())
    if names:
        sys.exit(f"out of step with contracts/src: {', '.join(names)}: run make -C contracts generate")


if __name__ == "__main__":
    main()
