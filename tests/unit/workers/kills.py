"""A run that is disturbed by SIGKILL at chosen points, to be compared with one that is not."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kubeswarm_workers.place import Place
from tests.unit.workers import trainers
from tests.unit.workers.conftest import SPELLING

#: "head": the control service of Ray's head, without which the trainer ends.
Victim = Literal["trainer", "engine", "environment", "head"]
#: Seconds after which a trainer has noticed that its Ray is gone, on a busy machine; a head that is away for a moment
#: Ray itself would wait for a minute.
NOTICED = 30.0


@dataclass(frozen=True)
class Kill:
    """`victim` gets SIGKILL `delay` seconds after the line of `round` is in the log (0: the first measurement's)."""

    victim: Victim
    round: int
    delay: float


def drawn(seed: int, count: int, rounds: int, round_seconds: float, start_seconds: float) -> list[Kill]:
    """`count` points: each victim in turn at some time of a round of its own; each second trainer also at its start."""
    source = random.Random(seed)
    victims: list[Victim] = ["trainer", "engine", "environment"]
    kills: list[Kill] = []
    for number, after in enumerate(sorted(source.sample(range(rounds - 1), count))):
        kills.append(Kill(victims[number % 3], after, source.uniform(0, round_seconds)))
        if number % 6 == 0:
            kills.append(Kill("trainer", after, source.uniform(0, start_seconds)))
    return kills[:count]


def undisturbed(root: Path, model: Path, rounds: int, asynchronous: dict[str, int]) -> tuple[Place, dict[int, str]]:
    """Where it ran, and the losses."""
    return disturbed(root, model, rounds, asynchronous, [])


def disturbed(
    root: Path, model: Path, rounds: int, asynchronous: dict[str, int], kills: Sequence[Kill]
) -> tuple[Place, dict[int, str]]:
    """The same run with `kills`, started again after each death of the trainer; every victim was there to die."""
    log, left = root / "log", list(kills)
    while True:
        place = trainers.fresh_place(root)  # other ports: some of Ray's processes notice a death only after a minute
        trainers.configure(place, model, SPELLING, rounds, asynchronous=asynchronous)
        with trainers.running(place, "trainer", log) as trainer:
            while left and trainer.process.poll() is None:
                kill = left.pop(0)
                _wait_for_round(trainer, kill.round)
                time.sleep(kill.delay)
                if kill.victim == "trainer":
                    trainer.kill()
                else:
                    _kill_part(trainer, kill.victim)
                if kill.victim == "head":
                    assert trainer.process.wait(NOTICED) == 1
            if trainer.process.poll() is not None:
                continue
            trainer.wait_for("training complete")
            assert trainer.terminate() == 0
            return place, trainers.losses(trainer)


def _wait_for_round(trainer: trainers.Process, round: int) -> None:
    deadline = time.monotonic() + trainers.DEADLINE
    message = "round finished" if round else "held-out"
    while not any(entry["round"] >= round for entry in trainer.entries(message)):
        assert trainer.process.poll() is None, trainer.log.read_text()[-4000:]
        assert time.monotonic() < deadline, trainer.log.read_text()[-4000:]
        time.sleep(0.01)


def _kill_part(trainer: trainers.Process, victim: trainers.Part) -> None:
    """One that is just being replaced comes again soon."""
    deadline = time.monotonic() + trainers.DEADLINE
    while not trainer.kill_part(victim):
        assert time.monotonic() < deadline, f"no {victim} to kill"
        time.sleep(0.01)


def same(place: Place, losses: dict[int, str], expected: Place, expected_losses: dict[int, str]) -> None:
    """Asserts that two runs ended with the same records, rewards, held-out curve and weights, bit for bit."""
    assert trainers.records(place) == trainers.records(expected)
    assert place.held_out.read_bytes() == expected.held_out.read_bytes()
    weights, wanted = (each.trained_model / "model.safetensors" for each in (place, expected))
    assert weights.read_bytes() == wanted.read_bytes()
    # The line of a round may have died with the process that wrote its checkpoint.
    assert losses.items() <= expected_losses.items()
