"""What is wrong in a Swarm's file is told with file, line, field and remedy."""

from pathlib import Path

import pytest

from kubeswarm_cli.errors import CommandError
from kubeswarm_cli.local.swarm_file import read

EXAMPLES = Path(__file__).parents[4] / "examples"
GOOD = (EXAMPLES / "tiny.yaml").read_text()


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "swarm.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "path", [path for path in EXAMPLES.glob("*.yaml") if "kind: Swarm" in path.read_text()], ids=str
)
def test_the_examples_can_be_read(path: Path) -> None:
    assert read(path).spec.nodes >= 1


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("rounds: 3", "round: 3", 7, "spec.round: there is no such field: did you mean rounds?"),
        ("rounds: 3", "rounds: 0", 7, "spec.rounds: Input should be greater than or equal to 1"),
        ("nodes: 1", "nodes: many", 6, "spec.nodes: Input should be a valid integer"),
        ("name: spell_backward", "nam: x", 9, "spec.environment.reasoningGym.tasks.0.name: is missing"),
        ("name: tiny", "name: Tiny", 4, "metadata.name must begin with a letter"),
        ("name: tiny", f"name: {41 * 'x'}", 4, "metadata.name may have 40 characters at most"),
        ("kind: Swarm", "kind: Node", 3, "can't be run here: a Swarm is"),
        ("rounds: 3", "algorithm: {prompts: 1024, groupSize: 17}", 5, "over 16384 completions a round: lower one"),
        ("{image: kubeswarm/tiny-qwen3:v1}", "{hub: a/b, image: c}", 8, "set exactly one of image, claim, hub"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, old: str, new: str, line: int, told: str) -> None:
    assert GOOD.count(old) == 1
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(CommandError) as caught:
        read(path)
    assert any(each.startswith(f"{path}:{line}: ") and told in each for each in str(caught.value).splitlines()), caught


@pytest.mark.parametrize("text", ["", "- a\n", "a: [", f"{GOOD}\n---\n{GOOD}", "\x00"])
def test_what_is_no_swarm_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(CommandError, match=r"swarm\.yaml: "):
        read(written(tmp_path, text))
    with pytest.raises(CommandError, match="No such file"):
        read(tmp_path / "absent.yaml")


def test_fields_can_be_set(tmp_path: Path) -> None:
    found = read(
        written(tmp_path, GOOD),
        [
            "spec.seed=7",
            "spec.sharing.external=0",
            "spec.environment.reasoningGym.tasks.0.args={min_word_len: 5}",
            "spec.evaluation=",
            "metadata.name=other",
        ],
    )
    assert (found.name, found.spec.seed, found.spec.sharing.external) == ("other", 7, 0)
    assert found.spec.evaluation.items == 32
    assert found.spec.environment.reasoning_gym is not None
    assert found.spec.environment.reasoning_gym.tasks[0].args == {"min_word_len": 5}
    assert found.manifest["spec"]["seed"] == 7


@pytest.mark.parametrize(
    "change", ["spec.seed", "=1", "spec.nodes.x=1", "spec.environment.reasoningGym.tasks.9.name=x", "spec.seed=["]
)
def test_a_change_that_can_not_be_made_is_refused(tmp_path: Path, change: str) -> None:
    with pytest.raises(CommandError, match="--set "):
        read(written(tmp_path, GOOD), [change])
