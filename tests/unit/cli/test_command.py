"""The command itself, as a program: help, and errors that tell what to do."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml


def kubeswarm(*arguments: str, kubeconfig: Path | str = "/nonexistent") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kubeswarm_cli", *arguments],
        env={"KUBECONFIG": str(kubeconfig), "PATH": "", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["status"],
        ["watch"],
        ["report"],
        ["rounds"],
        ["run"],
        ["replay"],
        ["rollouts"],
        ["lineage"],
        ["receipt"],
        ["verify"],
    ],
    ids=" ".join,
)
def test_help(command: list[str]) -> None:
    done = kubeswarm(*command, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_no_cluster_configured() -> None:
    done = kubeswarm("status")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no cluster is configured" in done.stderr
    assert "KUBECONFIG" in done.stderr


def test_a_cluster_that_does_not_answer(tmp_path: Path) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "x", "user": {}}],
    }
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    done = kubeswarm("watch", "first-light", kubeconfig=path)
    assert done.returncode == 1
    assert "no answer from the cluster at https://127.0.0.1:1" in done.stderr


def test_the_chain_needs_a_url() -> None:
    done = kubeswarm("rounds", "first-light-0")
    assert done.returncode == 1
    assert "--chain-url is needed" in done.stderr


def test_a_chain_that_does_not_answer() -> None:
    done = kubeswarm("rounds", "first-light-0", "--chain-url", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "no answer from the chain" in done.stderr
    done = kubeswarm("rounds", "first-light-0", "--chain-url", "localhost:8545")
    assert done.returncode == 1
    assert "--chain-url must be http" in done.stderr
