"""Which Kubernetes is needed: what the chart asks for is what the tests run on, and each release is pinned whole."""

import re

import yaml

from hack.cluster.binaries import NEWEST, RELEASES, TOOLS
from hack.cluster.layout import REPOSITORY


def test_the_chart_and_the_quickstart_ask_for_the_oldest_release_that_is_tested() -> None:
    oldest = list(RELEASES)[-1]
    chart = yaml.safe_load((REPOSITORY / "charts" / "kubeswarm" / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == f">={oldest}.0-0"
    assert f"Kubernetes {oldest} or later" in (REPOSITORY / "docs" / "quickstart.md").read_text()


def test_the_releases_are_consecutive() -> None:
    minor = int(NEWEST.removeprefix("1."))
    assert list(RELEASES) == [f"1.{minor - age}" for age in range(3)]


def test_every_module_of_a_release_is_of_its_patch() -> None:
    """One of another patch than Kubernetes itself would build, and be of no release at all."""
    for release, module in RELEASES.items():
        requirements = (TOOLS / module.name / "go.mod").read_text()
        found = re.search(r"k8s\.io/kubernetes v(1\.\d+)\.(\d+)\b", requirements)
        assert found and found[1] == release, module.name
        replaced = re.findall(r"^\t(k8s\.io/\S+) => (\S+) v0\.(\S+)$", requirements, re.MULTILINE)
        assert len(replaced) > 30
        assert all(
            (name, version) == (by, f"{release.removeprefix('1.')}.{found[2]}") for name, by, version in replaced
        )
