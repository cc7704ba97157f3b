"""The real trainer with Ray and vLLM on a tiny model: what a death in the middle of a round changes (nothing)."""

import contextlib
import itertools
import json
import threading
import urllib.request
from pathlib import Path

import pytest

from kubeswarm_api import names
from kubeswarm_api.encoding import to_hex
from kubeswarm_api.records import RoundRecord, check_chain
from kubeswarm_api.reports import NodeReport, Phase, RoundReport
from kubeswarm_workers import stored
from kubeswarm_workers.place import Place
from tests.unit.workers import kills, trainers
from tests.unit.workers.conftest import SPELLING
from tests.unit.workers.kills import Kill

pytestmark = pytest.mark.engine
ROUNDS = 4
ONE_BEHIND = {"maxStaleness": 1}
IN_FLIGHT = {"maxStaleness": 1, "inFlightAfter": 4}


@pytest.fixture(scope="module")
def undisturbed(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, dict[int, str]]:
    """A run of ROUNDS rounds that nobody disturbs, looked at over HTTP, and ended by SIGTERM when complete."""
    place = trainers.fresh_place(tmp_path_factory.mktemp("undisturbed"))
    trainers.configure(place, tiny_model, SPELLING, ROUNDS)
    with trainers.running(place, "trainer", place.root / "log") as trainer:
        trainer.wait_for("training complete")
        status = NodeReport.model_validate_json(get(place, "status"))
        assert status.phase is Phase.COMPLETE
        assert (status.round, status.rounds, status.samples) == (ROUNDS, ROUNDS, ROUNDS * 16)
        assert status.held_out is not None and status.held_out.items == 4 and status.held_out.round == ROUNDS
        metrics = get(place, "metrics").decode()
        assert sample(metrics, "kubeswarm_trainer_samples_produced_total") == ROUNDS * 16
        assert sample(metrics, 'kubeswarm_trainer_samples_trained_total{origin="local"}') == ROUNDS * 16
        assert sample(metrics, "kubeswarm_trainer_samples_pending") == 0
        assert sample(metrics, 'kubeswarm_trainer_weight_syncs_total{result="ok"}') == ROUNDS + 1
        assert sample(metrics, 'kubeswarm_trainer_weight_syncs_total{result="mismatch"}') == 0
        assert trainer.terminate() == 0
        return place, trainers.losses(trainer)


def get(place: Place, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{place.port(names.TRAINER_PORT)}/{path}", timeout=10) as answer:
        return answer.read()


def sample(metrics: str, name: str) -> float:
    [line] = [line for line in metrics.splitlines() if line.startswith(name + " ")]
    return float(line.rpartition(" ")[2])


def test_records_chain_and_the_model_is_left(undisturbed: tuple[Place, dict[int, str]]) -> None:
    place, losses = undisturbed
    records = [RoundRecord.from_bytes(data) for data in trainers.records(place)]
    check_chain(records)
    assert [record.round for record in records] == list(range(1, ROUNDS + 1)) == list(losses)
    for before, after in itertools.pairwise(records):
        assert after.model_before == before.model_after
    assert len({record.model_after for record in records}) == ROUNDS
    assert all(record.samples == 16 and record.tokens > 0 for record in records)
    assert (place.trained_model / "model.safetensors").exists()
    curve = json.loads(place.held_out.read_bytes())
    assert [entry["round"] for entry in curve] == [0, 2, 4]


@pytest.fixture(scope="module")
def one_behind(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, dict[int, str]]:
    """The same with async.maxStaleness 1."""
    return kills.undisturbed(tmp_path_factory.mktemp("one-behind"), tiny_model, ROUNDS, ONE_BEHIND)


def test_each_round_but_the_first_is_sampled_one_update_behind(one_behind: tuple[Place, dict[int, str]]) -> None:
    place, losses = one_behind
    records = [RoundRecord.from_bytes(data) for data in trainers.records(place)]
    check_chain(records)
    assert [record.round for record in records] == list(losses) == list(range(1, ROUNDS + 1))
    sampled_with = [stored.read(place.stored_rounds, number).sampled_with for number in losses]
    assert sampled_with == [records[0].model_before, *(record.model_before for record in records[:-1])]
    meters = [report.meters for report in histories(place)]
    assert [each["staleness"] for each in meters] == [0, 1, 1, 1]
    # Of the first round the gap is rounding alone; then it is also what an update changed.
    first, *later = [each["mismatch.local.gap"] for each in meters]
    assert first < NOISE_FLOOR < min(later)


@pytest.fixture(scope="module")
def in_flight(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, dict[int, str]]:
    """The same with completions that go on with the updated policy after 4 tokens."""
    return kills.undisturbed(tmp_path_factory.mktemp("in-flight"), tiny_model, ROUNDS, IN_FLIGHT)


def test_an_update_in_flight_is_recorded_token_by_token(in_flight: tuple[Place, dict[int, str]]) -> None:
    place, losses = in_flight
    records = [RoundRecord.from_bytes(data) for data in trainers.records(place)]
    check_chain(records)
    assert [record.round for record in records] == list(losses) == list(range(1, ROUNDS + 1))
    rounds = [stored.read(place.stored_rounds, number) for number in losses]
    assert [each.sampled_with for each in rounds[1:]] == [record.model_before for record in records[:-1]]
    assert [each.switched_to for each in rounds] == [None, *(record.model_before for record in records[1:])]
    for each, record, report in zip(rounds, records, histories(place), strict=True):
        assert to_hex(each.published().root()) == record.rollouts_root
        completions = [one for group in each.own for one in group.group.completions]
        if each.switched_to:
            long = [one for one in completions if len(one.tokens) > IN_FLIGHT["inFlightAfter"]]
            assert long and all(one.switched_at == IN_FLIGHT["inFlightAfter"] for one in long)
            assert 0 < report.meters["staleness"] < 1


def histories(place: Place) -> list[RoundReport]:
    return [RoundReport.model_validate_json(line) for line in place.history.read_bytes().splitlines()]


@pytest.mark.parametrize(
    ("run", "asynchronous"), [("undisturbed", {}), ("one_behind", ONE_BEHIND), ("in_flight", IN_FLIGHT)]
)
def test_killed_at_any_point_it_ends_bit_for_bit_the_same(
    tiny_model: Path, tmp_path: Path, run: str, asynchronous: dict[str, int], request: pytest.FixtureRequest
) -> None:
    """Environment, engine and trainer, one after the other; `make test-long` has many more points."""
    expected, expected_losses = request.getfixturevalue(run)
    points = [Kill("environment", 0, 0.02), Kill("engine", 1, 0.05), Kill("trainer", 2, 0.1)]
    place, losses = kills.disturbed(tmp_path, tiny_model, ROUNDS, asynchronous, points)
    kills.same(place, losses, expected, expected_losses)
    assert {1, 2} <= losses.keys()


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
    trainers.configure(place, tiny_model, environment, ROUNDS, asynchronous=ONE_BEHIND, learning_rate=0)
    scrapes: list[str] = []
    done = threading.Event()

    def scrape() -> None:
        while not done.wait(0.01):
            with contextlib.suppress(OSError):  # before it listens
                scrapes.append(get(place, "metrics").decode())

    with trainers.running(place, "trainer", root / "log") as trainer:
        scraping = threading.Thread(target=scrape)
        scraping.start()
        try:
            trainer.wait_for("training complete")
        finally:
            done.set()
            scraping.join()
        scrapes.append(get(place, "metrics").decode())
        assert trainer.terminate() == 0
        return place, scrapes, trainer.log.read_text()


#: Mean |log-probability of learner - of engine| in float32, without a mistake in either.
NOISE_FLOOR = 2e-5


def test_with_a_learning_rate_of_0_the_meter_stays_at_its_noise_floor(standing: tuple[Place, list[str], str]) -> None:
    place, _, _ = standing
    records = [RoundRecord.from_bytes(data) for data in trainers.records(place)]
    assert len(records) == ROUNDS
    assert {record.model_after for record in records} == {records[0].model_before}
    for report in histories(place):
        assert report.meters["gradNorm"] > 0
        assert report.meters["mismatch.local.gap"] < NOISE_FLOOR
        assert report.meters["mismatch.local.k3"] < NOISE_FLOOR**2 * 10
        assert abs(report.meters["mismatch.local.largest"] - 1) < 100 * NOISE_FLOOR


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


def test_with_a_rollout_pod_that_dies_and_a_trainer_that_is_moved(
    tiny_model: Path, tmp_path: Path, undisturbed: tuple[Place, dict[int, str]]
) -> None:
    """SIGTERM to the trainer after a round, SIGKILL to the rollout pod: the same models come out."""
    place = trainers.fresh_place(tmp_path)
    pod = trainers.fresh_place(tmp_path)
    trainers.configure(place, tiny_model, SPELLING, ROUNDS, workers=1)
    head = f"127.0.0.1:{place.port(names.RAY_PORT)}"
    log = tmp_path / "trainer.log"
    with trainers.running(place, "trainer", log) as trainer:
        trainer.wait_for("waiting for rollout pods: 0 of 1 have joined")
        with trainers.running(pod, "rollout", tmp_path / "pod-1.log", KUBESWARM_HEAD=head) as rollout:
            trainer.wait_for("round finished", 1)
            metrics = urllib.request.urlopen(f"http://127.0.0.1:{pod.port(names.ROLLOUT_PORT)}/metrics", timeout=10)
            assert sample(metrics.read().decode(), "kubeswarm_rollout_engine_ready") == 1
            rollout.kill()
        with trainers.running(pod, "rollout", tmp_path / "pod-2.log", KUBESWARM_HEAD=head) as rollout:
            trainer.wait_for("round finished", 2)
            assert trainer.terminate() == 0
            assert not list(place.checkpoints.glob(".*"))
            assert rollout.terminate() in (0, 1)
    with (
        trainers.running(place, "trainer", log) as trainer,
        trainers.running(pod, "rollout", tmp_path / "pod-3.log", KUBESWARM_HEAD=head),
    ):
        trainer.wait_for("training complete")
        assert trainer.terminate() == 0

    def essence(at: Place) -> list[tuple[str, str]]:
        parsed = [RoundRecord.from_bytes(data) for data in trainers.records(at)]
        return [(record.model_after, record.rollouts_root) for record in parsed]

    # The configuration, and so the record, differs in the number of rollout pods; models and rollouts do not.
    assert essence(place) == essence(undisturbed[0])


def test_more_rounds_later_go_on_where_it_ended(
    tiny_model: Path, tmp_path: Path, undisturbed: tuple[Place, dict[int, str]]
) -> None:
    place = trainers.fresh_place(tmp_path)
    for rounds in (2, ROUNDS):
        trainers.configure(place, tiny_model, SPELLING, rounds)
        with trainers.running(place, "trainer", tmp_path / "log") as trainer:
            trainer.wait_for("training complete", 1 if rounds == 2 else 2)
            assert trainer.terminate() == 0
    assert trainers.records(place) == trainers.records(undisturbed[0])


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
        metrics = get(place, "metrics").decode()
        assert trainer.terminate() == 0
    assert len(gaps) == 2 and max(gaps) < 1e-4
    completions = [
        each
        for round in (1, 2)
        for stored_group in stored.read(place.stored_rounds, round).own
        for each in stored_group.group.completions
    ]
    assert any(each.given for each in completions), "no answer ended before it was cut off"
    assert sample(metrics, "kubeswarm_trainer_tokens_total") == sum(sum(each.sampled) for each in completions)


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
