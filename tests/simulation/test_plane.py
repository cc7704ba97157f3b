"""The simulation's control plane on a machine that has nothing yet."""

from pathlib import Path

import pytest

from hack.simulation.plane import STAGES, module_folder


def test_sources_are_fetched_where_they_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "modules"))
    monkeypatch.setenv("GOFLAGS", "-modcacherw")
    folder = module_folder("kwok", "sigs.k8s.io/kwok") / "kustomize" / "stage"
    assert folder.is_absolute()
    assert all(list((folder / stage).glob("*.yaml")) for stage in STAGES)
