"""Writes crds/, and the chart's copy of it, from the models: `python -m hack.generate.crds`."""

from pathlib import Path

import yaml

from kubeswarm_api import crd

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT / "crds", ROOT / "charts" / "kubeswarm" / "files" / "crds")
HEADER = "# Generated from api/kubeswarm_api by `make generate`. Do not edit.\n"


def main() -> None:
    """Writes one file a resource and folder."""
    for definition in (crd.swarm_crd(), crd.node_crd()):
        text = HEADER + yaml.safe_dump(definition, sort_keys=False, width=120)
        for folder in FOLDERS:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{definition['spec']['names']['plural']}.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
