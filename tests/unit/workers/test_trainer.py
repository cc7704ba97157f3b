"""The real trainer with Ray and vLLM on a tiny model: what a death in the middle of a round changes (nothing)."""

import itertools
import json
import urllib.request
from pathlib import Path

import pytest

from kubeswarm_api import names
from kubeswarm_api.encoding import to_hex
from kubeswarm_api.records import RoundRecord, check_chain
from kubeswarm_api.reports import NodeReport, Phase
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
        status = NodeReport.model_validate_json(trainers.get(place, "status"))
        assert status.phase is Phase.COMPLETE
        assert (status.round, status.rounds, status.samples) == (ROUNDS, ROUNDS, ROUNDS * 16)
        assert status.held_out is not None and status.held_out.items == 4 and status.held_out.round == ROUNDS
        metrics = trainers.get(place, "metrics").decode()
        assert trainers.sample(metrics, "kubeswarm_trainer_samples_produced_total") == ROUNDS * 16
        assert trainers.sample(metrics, 'kubeswarm_trainer_samples_trained_total{origin="local"}') == ROUNDS * 16
        assert trainers.sample(metrics, "kubeswarm_trainer_samples_pending") == 0
        assert trainers.sample(metrics, 'kubeswarm_trainer_weight_syncs_total{result="ok"}') == ROUNDS + 1
        assert trainers.sample(metrics, 'kubeswarm_trainer_weight_syncs_total{result="mismatch"}') == 0
        assert trainer.terminate() == 0
        return place, trainers.losses(trainer)


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
    meters = [report.meters for report in trainers.histories(place)]
    assert [each["staleness"] for each in meters] == [0, 1, 1, 1]
    # Of the first round the gap is rounding alone; then it is also what an update changed.
    first, *later = [each["mismatch.local.gap"] for each in meters]
    assert first < trainers.NOISE_FLOOR < min(later)


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
    for each, record, report in zip(rounds, records, trainers.histories(place), strict=True):
        assert to_hex(each.published().root()) == record.rollouts_root
        completions = [one for group in each.own for one in group.group.completions]
        if each.switched_to:
            long = [one for one in completions if len(one.tokens) > IN_FLIGHT["inFlightAfter"]]
            assert long and all(one.switched_at == IN_FLIGHT["inFlightAfter"] for one in long)
            assert 0 < report.meters["staleness"] < 1


@pytest.mark.parametrize(
    ("run", "asynchronous", "last"), [("undisturbed", {}, "head"), ("in_flight", IN_FLIGHT, "trainer")]
)
def test_killed_at_any_point_it_ends_bit_for_bit_the_same(
    tiny_model: Path,
    tmp_path: Path,
    run: str,
    asynchronous: dict[str, int],
    last: kills.Victim,
    request: pytest.FixtureRequest,
) -> None:
    """Environment, engine, and trainer or Ray's head, one after the other; `make test-long` has many more points, and a
    run that is one update behind."""
    expected, expected_losses = request.getfixturevalue(run)
    points = [Kill("environment", 0, 0.02), Kill("engine", 1, 0.05), Kill(last, 2, 0.1)]
    place, losses = kills.disturbed(tmp_path, tiny_model, ROUNDS, asynchronous, points)
    kills.same(place, losses, expected, expected_losses)
    assert {1, 2} <= losses.keys()


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
            assert trainers.sample(metrics.read().decode(), "kubeswarm_rollout_engine_ready") == 1
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
