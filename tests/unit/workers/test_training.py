"""The real trainer with Ray and vLLM on a tiny model: what it makes of environments, and of changes between rounds."""

import contextlib
import json
import threading
from pathlib import Path

import pytest

from kubeswarm_api import names
from kubeswarm_api.records import RoundRecord
from kubeswarm_workers import stored
from kubeswarm_workers.place import Place
from tests.unit.workers import trainers
from tests.unit.workers.conftest import SPELLING

pytestmark = pytest.mark.engine
ROUNDS = 4


#: Rows of which every fifth is harmless; of the completions of the others about half do what no environment should.
FAULTY = """
import os, sys, time
from zlib import crc32

HELD = []

def rows():
    return [{"prompt": f"spell {number} backward", "number": number} for number in range(40)]

def reward(prompts, completions, number, **columns):
    for text, row in zip(completions, number):
        fault = row % 5 if crc32(text.encode()) % 2 else 0
        if fault == 1:
            raise ValueError("no such thing")
        if fault == 2:
            os._exit(3)
        if fault == 3:
            time.sleep(3600)
        if fault == 4:
            HELD.append(bytearray(10 * 2**30))
    return [1.0 + crc32(text.encode()) % 100 / 100 for text in completions]
"""


@pytest.fixture(scope="module")
def standing(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, list[str], str]:
    """A run with learning rate 0 and a faulty environment, one update behind; all scrapes of it, and its log."""
    root = tmp_path_factory.mktemp("standing")
    (root / "faulty.py").write_text(FAULTY)
    environment = {
        "python": {"code": {"file": str(root / "faulty.py")}},
        "limits": {"seconds": 2, "memoryMebibytes": 2048},
    }
    place = trainers.fresh_place(root)
    trainers.configure(place, tiny_model, environment, ROUNDS, asynchronous={"maxStaleness": 1}, learning_rate=0)
    scrapes: list[str] = []
    done = threading.Event()

    def scrape() -> None:
        while not done.wait(0.01):
            with contextlib.suppress(OSError):  # before it listens
                scrapes.append(trainers.get(place, "metrics").decode())

    with trainers.running(place, "trainer", root / "log") as trainer:
        scraping = threading.Thread(target=scrape)
        scraping.start()
        try:
            trainer.wait_for("training complete")
        finally:
            done.set()
            scraping.join()
        scrapes.append(trainers.get(place, "metrics").decode())
        assert trainer.terminate() == 0
        return place, scrapes, trainer.log.read_text()


def test_with_a_learning_rate_of_0_the_meter_stays_at_its_noise_floor(standing: tuple[Place, list[str], str]) -> None:
    place, _, _ = standing
    records = [RoundRecord.from_bytes(data) for data in trainers.records(place)]
    assert len(records) == ROUNDS
    assert {record.model_after for record in records} == {records[0].model_before}
    for report in trainers.histories(place):
        assert report.meters["gradNorm"] > 0
        assert report.meters["mismatch.local.gap"] < trainers.NOISE_FLOOR
        assert report.meters["mismatch.local.k3"] < trainers.NOISE_FLOOR**2 * 10
        assert abs(report.meters["mismatch.local.largest"] - 1) < 100 * trainers.NOISE_FLOOR


def test_what_an_environment_loses_is_counted_and_training_goes_on(standing: tuple[Place, list[str], str]) -> None:
    place, scrapes, log = standing
    assert len(scrapes) > 20
    for scrape in scrapes:
        counts = {name: total(scrape, f"kubeswarm_trainer_samples_{name}") for name in ("produced_total", "pending")}
        dropped = total(scrape, "kubeswarm_trainer_samples_dropped_total")
        trained = total(scrape, 'kubeswarm_trainer_samples_trained_total{origin="local"}')
        assert counts["produced_total"] == trained + dropped + counts["pending"]
    assert any(total(scrape, "kubeswarm_trainer_samples_pending") > 0 for scrape in scrapes)
    last = scrapes[-1]
    failures = "kubeswarm_trainer_environment_failures_total"
    for reason in ("error", "crash", "deadline", "memory"):
        assert total(last, f'{failures}{{reason="{reason}"}}') > 0, reason
        assert f'"reason": "{reason}"' in log
    lost = total(last, 'kubeswarm_trainer_samples_dropped_total{reason="score"}')
    rewards = [
        completion.reward
        for number in range(1, ROUNDS + 1)
        for group in stored.read(place.stored_rounds, number).own
        for completion in group.group.completions
    ]
    assert 0 < lost == ROUNDS * 16 - len(rewards)
    assert min(rewards) >= 1.0  # what was lost is not there with a reward of 0


def total(metrics: str, name: str) -> float:
    """Over all labels, or of one set of them."""
    lines = [line for line in metrics.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


#: A talk that goes on as long as it may, with rewards that differ.
TALK = """
from zlib import crc32

def rows():
    return [{"prompt": f"spell {number} backward", "number": number} for number in range(40)]

def step(messages, number):
    return f"Again, with {len(messages)} more."

def reward(prompts, completions, number):
    return [crc32(turns[-1]["content"].encode()) % 100 / 100 for turns in completions]
"""


def test_episodes_of_several_turns(tiny_model: Path, tmp_path: Path) -> None:
    """Learner and sampler agree on the sampled tokens, with the environment's words between them."""
    place = trainers.fresh_place(tmp_path)
    (tmp_path / "talk.py").write_text(TALK)
    environment = {"python": {"code": {"file": str(tmp_path / "talk.py")}, "step": "step"}}
    trainers.configure(place, tiny_model, environment, 2, turns=3)
    with trainers.running(place, "trainer", place.root / "log") as trainer:
        trainer.wait_for("training complete")
        gaps = [entry["mismatch"]["local"]["gap"] for entry in trainer.entries("round finished")]
        metrics = trainers.get(place, "metrics").decode()
        assert trainer.terminate() == 0
    assert len(gaps) == 2 and max(gaps) < 1e-4
    completions = [
        each
        for round in (1, 2)
        for stored_group in stored.read(place.stored_rounds, round).own
        for each in stored_group.group.completions
    ]
    assert any(each.given for each in completions), "no answer ended before it was cut off"
    assert trainers.sample(metrics, "kubeswarm_trainer_tokens_total") == sum(sum(each.sampled) for each in completions)


def test_a_changed_learning_rate_is_taken_over_between_two_rounds(tiny_model: Path, tmp_path: Path) -> None:
    place = trainers.fresh_place(tmp_path)
    trainers.configure(place, tiny_model, SPELLING, rounds=1000)
    with trainers.running(place, "trainer", tmp_path / "log") as trainer:
        trainer.wait_for("round finished")
        path = place.path(names.NODE_CONFIG_FILE)
        config = json.loads(path.read_text())
        config["training"]["algorithm"]["learningRate"] = 1e-5
        path.with_suffix(".new").write_text(json.dumps(config))
        path.with_suffix(".new").rename(path)  # in one step, as a kubelet does it
        trainer.wait_for("the configuration has changed")
        trainer.wait_for("round finished", len(trainer.entries("round finished")) + 2)
        assert trainer.terminate() == 0
        (change,) = trainer.entries("the configuration has changed")
        assert change["fields"] == ["config.training.algorithm.learningRate"]
        rates = [entry["learningRate"] for entry in trainer.entries("round finished")]
    assert (rates[0], rates[-1]) == (3e-4, 1e-5)
    digests = [RoundRecord.from_bytes(data).config for data in trainers.records(place)]
    assert len(set(digests)) == 2, "a round's record binds the configuration that it was trained with"
