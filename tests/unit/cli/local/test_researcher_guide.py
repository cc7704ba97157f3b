"""The researcher's guide: its commands, in their order, in one directory, with a tiny model."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from kubeswarm_cli.local import swarm_file
from tests.unit.cli.local import loggers
from tests.unit.workers.conftest import SPELLING, environment_of, make_model

ROOT = Path(__file__).parents[4]
GUIDE = (ROOT / "docs" / "guides" / "researcher.md").read_text(encoding="utf-8")
#: That one block may take.
SECONDS = 1500


@dataclass(frozen=True)
class Block:
    """Commands between two fences; `marks` stand behind "bash"."""

    marks: tuple[str, ...]
    commands: str


BLOCKS = [
    Block(tuple(found.group(1).split()), found.group(2))
    for found in re.finditer(r"^```bash([^\n]*)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
]


def run(blocks: list[Block], folder: Path, **env: str) -> str:
    """What the blocks print; each fails at its first command that does."""
    printed = ""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for block in blocks:
        first = os.pathsep.join([env["EXTRAS"], path]) if "extras" in block.marks else path
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.commands],
            cwd=folder,
            env={**os.environ, **env, "PATH": first},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{block.commands}\n{(done.stdout + done.stderr)[-4000:]}"
        printed += done.stdout
    return printed


def test_the_environment_can_be_written_and_tried(tmp_path: Path) -> None:
    written = [block for block in BLOCKS if not block.marks]
    assert len(written) == 3
    printed = run(written, tmp_path)
    assert "'prompt': 'A number from 1 to 9, 0.'" in printed and "-> Higher." in printed
    read = swarm_file.read(tmp_path / "swarm.yaml")
    environment = environment_of(read.spec.environment.to_json(), 0, 4)
    assert [prompt.task for prompt in environment.draw(0, 1, 2)] == ["dataset"] * 2


def test_every_command_is_one_that_there_is() -> None:
    used = set(re.findall(r"kubeswarm (\w+) ", " ".join(block.commands for block in BLOCKS)))
    assert used == {"run", "rollouts", "replay", "log"}
    shown = subprocess.run(
        [sys.executable, "-m", "kubeswarm_cli", "--help"], capture_output=True, text=True, check=True
    )
    assert all(name in shown.stdout for name in used)


@pytest.mark.engine
def test_the_guide_from_its_first_to_its_last_command(tmp_path: Path) -> None:
    model = tmp_path / "model"
    make_model(model, environment_of(SPELLING, 0, 8), 20)
    others = loggers.python().parent
    printed = run(BLOCKS, tmp_path, MODEL=str(model), EXTRAS=str(others))
    assert "round 3 of guess-0: the model of the record is reached, bit for bit" in printed
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    [node] = result["nodes"]
    assert result["complete"] and node["rounds"] == 3
    [line] = [line for line in printed.splitlines() if line.startswith("{") and '"completion"' in line]
    assert set(json.loads(line)["components"]) == {"reward", "strict", "tried"}
    assert list((tmp_path / "logs").glob("run/guess-0/events.*"))
    assert json.loads((tmp_path / "run-cispo" / "result.json").read_text())["complete"]
