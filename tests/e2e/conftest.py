"""The real cluster, its images and the chart, made by the commands that a person would use."""

import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hack.cluster.layout import Profile, layout_for
from tests.e2e.swarms import SYSTEM, Cluster

ROOT = Path(__file__).parents[2]
IMAGES = ("operator", "worker", "chain", "nats", "prometheus", "tiny-qwen3")


@pytest.fixture(scope="session")
def system() -> Iterator[Cluster]:
    """The cluster with the chart installed."""
    layout = layout_for(Profile.FULL, None)
    subprocess.run([sys.executable, "-m", "hack.cluster", "up"], cwd=ROOT, check=True)
    subprocess.run([sys.executable, "-m", "hack.images", "build", *IMAGES, "--load"], cwd=ROOT, check=True)
    helm = [str(layout.bin / "helm"), "--kubeconfig", str(layout.kubeconfig)]
    subprocess.run(
        [
            *(*helm, "upgrade", "--install", "kubeswarm", "charts/kubeswarm", "--namespace", SYSTEM),
            *("--create-namespace", "--values", "tests/e2e/values.yaml", "--wait", "--timeout", "5m"),
        ],
        cwd=ROOT,
        check=True,
    )
    cluster = Cluster(layout, SYSTEM)
    # The images of a working tree keep their tag: pods of an earlier build must go.
    cluster.kubectl("rollout", "restart", "deployment,statefulset", "-n", SYSTEM)
    for name in cluster.kubectl("get", "deployment,statefulset", "-n", SYSTEM, "-o", "name").split():
        cluster.kubectl("rollout", "status", name, "-n", SYSTEM, "--timeout=180s")
    yield cluster


@contextmanager
def namespace(system: Cluster, test: str) -> Iterator[Cluster]:
    """A namespace named after a test, under the restricted pod security standard; gone afterwards."""
    name = re.sub(r"[^a-z0-9]+", "-", test.removeprefix("test_"))[:40].strip("-") + "-" + uuid.uuid4().hex[:4]
    mine = Cluster(system.layout, name)
    mine.kubectl("create", "namespace", name)
    mine.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield mine
    mine.kubectl("delete", "namespace", name, "--wait=true", "--timeout=180s")


@pytest.fixture
def cluster(system: Cluster, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A namespace of the test's own."""
    with namespace(system, request.node.name) as mine:
        yield mine
