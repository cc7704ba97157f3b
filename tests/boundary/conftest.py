"""helm, and the chart as it renders it."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from hack.cluster.binaries import ensure_programs
from hack.cluster.layout import cache_folder
from tests.boundary.chart import CHART, NAMESPACE, Object, Render


@pytest.fixture(scope="session")
def helm() -> Path:
    return ensure_programs(cache_folder(), ("helm",))["helm"]


@pytest.fixture(scope="session")
def render(helm: Path) -> Render:
    """Renders the chart with the given values; raises ValueError with helm's message when it refuses."""

    def rendered(values: Object | None = None) -> list[Object]:
        command = [helm, "template", "kubeswarm", CHART, "--namespace", NAMESPACE, "--values", "-"]
        done = subprocess.run(command, input=json.dumps(values or {}), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ValueError(done.stderr)
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    return rendered
