"""A run goes on with what may change, and with nothing else."""

from pathlib import Path

import pytest

from kubeswarm_cli.errors import CommandError
from kubeswarm_cli.local.directory import RunDirectory, RunFile
from kubeswarm_cli.local.swarm_file import read

FILE = Path(__file__).parents[4] / "examples" / "tiny.yaml"


def begin(at: Path, *changes: str, share: bool = False, threads: int | None = None) -> RunFile:
    return RunDirectory(at).begin(read(FILE, changes), FILE, chain=share, share=share, model=None, threads=threads)


def test_a_run_goes_on(tmp_path: Path) -> None:
    first = begin(tmp_path, threads=2)
    second = begin(tmp_path, "spec.rounds=9", "spec.nodes=2", "spec.algorithm.learningRate=1e-4")
    assert second.uid == first.uid and second.threads == 2 and second.starts[0] == first.starts[0]
    assert set(second.starts[1].changed) == {"spec.rounds", "spec.nodes", "spec.algorithm.learningRate"}
    assert RunDirectory(tmp_path).read() == second
    assert second.nodes == ["tiny-0", "tiny-1"] and second.spec.rounds == 9


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("spec.seed=1", "spec.seed: seed can't be changed after creation"),
        ("spec.model={hub: a/b}", "spec.model: model can't be changed after creation"),
        ("metadata.name=other", "metadata.name: this was tiny"),
    ],
)
def test_what_may_not_change_is_named(tmp_path: Path, change: str, told: str) -> None:
    before = begin(tmp_path)
    with pytest.raises(CommandError, match=told):
        begin(tmp_path, change)
    assert RunDirectory(tmp_path).read() == before


def test_neither_may_the_way_of_sharing(tmp_path: Path) -> None:
    begin(tmp_path)
    with pytest.raises(CommandError, match="--share: it was off"):
        begin(tmp_path, share=True)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    first = RunDirectory(tmp_path / "a")
    first.hold()
    with pytest.raises(CommandError, match="in use by another"):
        RunDirectory(tmp_path / "a").hold()
    del first
    RunDirectory(tmp_path / "a").hold()


def test_no_run_here(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"has no run\.json"):
        RunDirectory(tmp_path).read()
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(CommandError, match="can't be read"):
        RunDirectory(tmp_path).read()
