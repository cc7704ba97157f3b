"""The tools modules: what several programs share is of one version in all of them, or it is compiled for each anew."""

import re

import pytest

from hack.cluster.binaries import MODULES, TOOLS

#: The largest of what they share.
SHARED = (
    "k8s.io/api",
    "k8s.io/apimachinery",
    "k8s.io/client-go",
    "google.golang.org/protobuf",
    "golang.org/x/net",
    "golang.org/x/sys",
    "golang.org/x/text",
)


@pytest.mark.parametrize("dependency", SHARED)
def test_what_programs_share_is_of_one_version(dependency: str) -> None:
    required = re.compile(rf"^(?:require )?\s*{re.escape(dependency)} (v\S+)", re.MULTILINE)
    found = {module.name: required.search((TOOLS / module.name / "go.mod").read_text()) for module in MODULES}
    versions = {name: match[1] for name, match in found.items() if match}
    assert len(versions) > 3
    assert len(set(versions.values())) == 1, (
        f"go get {dependency}@... in each folder of hack/tools that lags: {versions}"
    )
