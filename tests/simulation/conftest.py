"""Fixtures: a control plane with kwok's nodes for the session, and operators that watch all of it."""

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hack.simulation.plane import Plane, control_plane, operator_account
from tests.cluster.control_plane import until
from tests.cluster.operator_process import OperatorProcess
from tests.simulation.life import Starter

_serial = itertools.count(1)


@pytest.fixture(scope="session")
def plane() -> Iterator[Plane]:
    """The control plane."""
    with (
        tempfile.TemporaryDirectory(prefix="kubeswarm-simulation-") as folder,
        control_plane(Path(folder) / "plane") as plane,
    ):
        yield plane


@pytest.fixture
def start(plane: Plane, tmp_path: Path) -> Iterator[Starter]:
    """Starts an operator, or another module in its place, and waits until it leads."""
    running: list[OperatorProcess] = []

    def start(module: str = "kubeswarm_operator") -> OperatorProcess:
        number = next(_serial)
        config, log = tmp_path / f"operator-{number}.yaml", tmp_path / f"operator-{number}.log"
        config.write_text(yaml.safe_dump({"images": {"worker": "simulated:none"}, "statusPollSeconds": 2}))
        port = 29100 + number
        operator = OperatorProcess(operator_account(plane), config, log, f"operator-{number}", port, module)
        running.append(operator)
        until(operator.leads, 30, f"operator leads; its log: {log.read_text()[-2000:]}")
        return operator

    yield start
    for operator in running:
        operator.stop()
