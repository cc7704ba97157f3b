"""A checkpoint is there as a whole or not at all, whatever instant its writer dies in."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from kubeswarm_api.spec_algorithm import Algorithm
from kubeswarm_api.spec_model import Lora
from kubeswarm_api.spec_training import Rollout
from kubeswarm_workers.learn import checkpoint, snapshot
from kubeswarm_workers.learn.batch import Row, Sample
from kubeswarm_workers.learn.export import export, exported_round
from kubeswarm_workers.learn.model import Policy
from kubeswarm_workers.learn.step import Learner
from kubeswarm_workers.weights import Packed, Snapshot, digests_of, policy_digest


def tensors(value: float) -> dict[str, dict[str, torch.Tensor]]:
    return {"model": {"a": torch.full((64,), value)}, "optimizer": {"a/step": torch.tensor(value)}}


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    for number in range(1, 5):
        checkpoint.save(tmp_path, number, tensors(number), {"round": number})
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["round-00000003", "round-00000004"]
    found = checkpoint.latest(tmp_path)
    assert found is not None and found.round == 4 and found.state == {"round": 4}
    assert torch.equal(found.tensors["model"]["a"], torch.full((64,), 4.0))


@pytest.mark.parametrize("name", ["model.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_corrupt_one_is_passed_over(tmp_path: Path, name: str, damage: str) -> None:
    for number in (1, 2):
        checkpoint.save(tmp_path, number, tensors(number), {"round": number})
    path = checkpoint.directory_of(tmp_path, 2) / name
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif damage == "truncate":
        path.write_bytes(data[: len(data) // 2])
    else:
        path.unlink()
    found = checkpoint.latest(tmp_path)
    assert found is not None and found.round == 1
    checkpoint.save(tmp_path, 2, tensors(2.5), {"round": 2})
    again = checkpoint.latest(tmp_path)
    assert again is not None and again.round == 2


WRITER = """
import os, signal, sys
from pathlib import Path
import torch
from kubeswarm_workers.learn import checkpoint

calls = 0
def deadly(real):
    def call(*args, **kwargs):
        global calls
        if calls == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        calls += 1
        return real(*args, **kwargs)
    return call

folder = Path(sys.argv[1])
for module, name in ((os, "fsync"), (os, "open"), (os, "rename"), (os, "mkdir"), (os, "unlink"), (os, "rmdir")):
    setattr(module, name, deadly(getattr(module, name)))
checkpoint.write_tensors = deadly(checkpoint.write_tensors)
checkpoint.write_synced = deadly(checkpoint.write_synced)
Path.rename = deadly(Path.rename)
checkpoint.save(folder, 3, {"model": {"a": torch.full((64,), 3.0)}}, {"round": 3})
print(calls)
"""


def test_killed_at_any_step_the_one_before_is_whole(tmp_path: Path) -> None:
    """Dies before the 1st, 2nd, ... effect on the disk, until a run gets through."""
    outcomes = []
    for step in range(60):
        folder = tmp_path / str(step)
        for number in (1, 2):
            checkpoint.save(folder, number, tensors(number), {"round": number})
        done = subprocess.run([sys.executable, "-c", WRITER, str(folder), str(step)], capture_output=True, check=False)
        found = checkpoint.latest(folder)
        assert found is not None and found.round in (2, 3), (step, done.stderr)
        value = float(found.round)
        assert torch.equal(found.tensors["model"]["a"], torch.full((64,), value))
        outcomes.append((done.returncode, found.round))
        # Whoever comes next can write.
        checkpoint.save(folder, 3, tensors(3), {"round": 3})
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert outcomes[-1] == (0, 3)
    assert (-signal.SIGKILL, 2) in outcomes and (-signal.SIGKILL, 3) in outcomes


SHORT_OF_SPACE = """
import resource, signal, sys
from pathlib import Path
import torch
from kubeswarm_workers.learn import checkpoint

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write over the limit fails as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    checkpoint.save(Path(sys.argv[1]), 2, {"model": {"a": torch.zeros(4096)}}, {"text": "x" * 65536})
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize(("limit", "told"), [(8192, "model.safetensors: "), (32768, "File too large"), (1 << 20, "")])
def test_a_write_that_fails_leaves_the_one_before(tmp_path: Path, limit: int, told: str) -> None:
    """Tensors are written by a library of its own kind of errors, the state by ours."""
    checkpoint.save(tmp_path, 1, tensors(1), {})
    command = [sys.executable, "-c", SHORT_OF_SPACE, str(tmp_path), str(limit)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told in said and bool(said) is bool(told)
    left = ["round-00000001"] if told else ["round-00000001", "round-00000002"]
    assert sorted(path.name for path in tmp_path.iterdir()) == left
    found = checkpoint.latest(tmp_path)
    assert found is not None and found.round == len(left)


def rows() -> list[Row]:
    return [
        Row((5, 6, 7), (Sample((8, 9), (-1.0, -2.0), 0.5), Sample((3,), (-1.5,), -0.5)), "local"),
        Row((9, 9), (Sample((4, 4, 4), (-1.0, -1.0, -1.0), 1.0),), "external"),
    ]


@pytest.mark.parametrize("lora", [None, Lora(rank=4, alpha=8)])
def test_a_restored_learner_goes_on_bit_for_bit(tiny_model: Path, tmp_path: Path, lora: Lora | None) -> None:
    def learner() -> Learner:
        return Learner(Policy(tiny_model, lora, seed=3), Algorithm(), Rollout())

    def digest(of: Learner) -> bytes:
        return Snapshot(of.policy.packed).digest

    first = learner()
    first.update(rows(), 1)
    taken, randomness = snapshot.take(first)
    checkpoint.save(tmp_path, 1, taken, {"random": randomness})
    expected = [first.update(rows(), 1).loss.hex() for _ in range(2)]
    noise = torch.rand(3)

    second = learner()
    found = checkpoint.latest(tmp_path)
    assert found is not None
    snapshot.restore(second, found.tensors, found.state["random"])
    assert [second.update(rows(), 1).loss.hex() for _ in range(2)] == expected
    assert torch.equal(torch.rand(3), noise)
    assert digest(second) == digest(first)


@pytest.mark.parametrize("lora", [None, Lora(rank=4, alpha=8)])
def test_a_snapshot_stays_while_the_policy_is_updated(tiny_model: Path, lora: Lora | None) -> None:
    learner = Learner(Policy(tiny_model, lora, seed=3), Algorithm(), Rollout())
    before = Snapshot(learner.policy.packed)
    kept = {changed_only: digests_of(before.tensors(changed_only)) for changed_only in (False, True)}
    assert policy_digest(kept[False]) == before.digest
    learner.update(rows(), 1)
    for changed_only in (False, True):
        assert digests_of(before.tensors(changed_only)) == kept[changed_only]
        assert digests_of(learner.policy.packed(changed_only)) != kept[changed_only]
    after = Snapshot(learner.policy.packed, before)
    assert after.digest == policy_digest(digests_of(learner.policy.packed(False))) != before.digest


def test_the_exported_model_is_the_digested_policy(tiny_model: Path, tmp_path: Path) -> None:
    policy = Policy(tiny_model, Lora(rank=4, alpha=8), seed=3)
    learner = Learner(policy, Algorithm(), Rollout())
    for _ in range(3):
        learner.update(rows(), 1)
    expected = digests_of(policy.packed(False))
    export(policy, tiny_model, tmp_path / "model", 3)
    saved = load_file(tmp_path / "model" / "model.safetensors")
    assert {name: Packed.pack(name, value).digest() for name, value in saved.items()} == expected
    assert exported_round(tmp_path / "model") == 3
    assert json.loads((tmp_path / "model" / "config.json").read_text())["model_type"] == "qwen3"
    again = Policy(tmp_path / "model", None, seed=0)
    assert digests_of(again.packed(False)) == expected
