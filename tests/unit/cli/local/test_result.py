"""result.json is what the Nodes left on the disk, crashes included."""

import json
from pathlib import Path

from kubeswarm_api import names
from kubeswarm_api.records import NO_DIGEST, RoundRecord
from kubeswarm_api.reports import RoundReport
from kubeswarm_cli.local.result import node_outcome


def record(number: int) -> RoundRecord:
    return RoundRecord(
        chain_id=1,
        registry="0x" + 40 * "1",
        swarm_id="0x" + 64 * "2",
        node_id="0x" + 40 * "3",
        round=number,
        previous=NO_DIGEST,
        config=NO_DIGEST,
        model_before=NO_DIGEST,
        model_after="0x" + f"{number:064x}",
        rollouts_root=NO_DIGEST,
        samples=8,
        reward=100_000 * number,
        tokens=50,
    )


def report(number: int, taken: int = 2) -> str:
    made = RoundReport(
        round=number,
        reward=0.1,
        tasks={"t": {"reward": 0.1}},
        samples=8,
        tokens=50,
        taken=taken,
        loss_hex="0x0p+0",
        meters={"loss": 0.0},
        model=NO_DIGEST,
        seconds={"generate": 1.5, "update": 0.5},
        finished="2026-01-01T00:00:00+00:00",
    )
    return json.dumps(made.to_json())


def test_it_survives_crashes(tmp_path: Path) -> None:
    spool = tmp_path / names.SPOOL
    spool.mkdir()
    for number in (1, 2, 3):
        (spool / f"{number:08d}.json").write_bytes(record(number).to_bytes())
    # A torn line, a round that was played twice, and one whose checkpoint was lost.
    lines = [report(1, 9), report(1), report(2)[:20], report(3, 5), report(4)]
    (tmp_path / names.HISTORY).write_text("\n".join(lines) + "\n")
    curve = [{"round": number, "items": 4, "reward": number / 8, "exact": 0.0} for number in (0, 2, 4)]
    (tmp_path / names.HELD_OUT).write_text(json.dumps(curve))
    found = node_outcome("n-0", tmp_path, rounds=4)
    assert found.rounds == 3 and found.model is None and found.model_digest == record(3).model_after
    assert found.rewards == [0.1, 0.2, 0.3]
    assert [point.round for point in found.held_out] == [0, 2]
    assert (found.samples, found.tokens) == (24, 150)
    assert [(each.round, each.taken) for each in found.history] == [(1, 2), (3, 5)] and found.groups_taken == 7
    assert found.seconds == {"generate": 3.0, "update": 1.0}


def test_of_nothing(tmp_path: Path) -> None:
    found = node_outcome("n-0", tmp_path, rounds=4)
    assert (found.rounds, found.held_out, found.history, found.model) == (0, [], [], None)


def test_the_model_is_named_when_all_rounds_are_done(tmp_path: Path) -> None:
    (tmp_path / names.SPOOL).mkdir()
    (tmp_path / names.SPOOL / "00000001.json").write_bytes(record(1).to_bytes())
    (tmp_path / names.TRAINED_MODEL).mkdir()
    assert node_outcome("n-0", tmp_path, rounds=1).model == str(tmp_path / names.TRAINED_MODEL)
    assert node_outcome("n-0", tmp_path, rounds=2).model is None
