"""Writes crds/ from the models: `python -m hack.generate.crds`."""

from pathlib import Path

import yaml

from kubeswarm_api import crd

CRDS = Path(__file__).parents[2] / "crds"
HEADER = "# Generated from api/kubeswarm_api by `make generate`. Do not edit.\n"


def main() -> None:
    """Writes one file a resource."""
    CRDS.mkdir(exist_ok=True)
    for definition in (crd.swarm_crd(), crd.node_crd()):
        path = CRDS / f"{definition['spec']['names']['plural']}.yaml"
        path.write_text(HEADER + yaml.safe_dump(definition, sort_keys=False, width=120), encoding="utf-8")


if __name__ == "__main__":
    main()
