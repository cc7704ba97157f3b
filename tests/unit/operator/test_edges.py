"""Small things at the edge: request labels, errors, the configuration file."""

from pathlib import Path

import pytest

from kubeswarm_api.errors import InvalidConfig
from kubeswarm_operator.kube import ApiError, Conflict, NotFound, Unavailable, _error
from kubeswarm_operator.resources import LEASES, NODES, PODS
from kubeswarm_operator.session import labels_of
from kubeswarm_operator.settings import load


@pytest.mark.parametrize(
    ("url", "resource", "single"),
    [
        ("https://h/api/v1/pods?watch=true", "pods", False),
        ("https://h/api/v1/namespaces/ns/pods", "pods", False),
        ("https://h/api/v1/namespaces/ns/pods/p", "pods", True),
        ("https://h/apis/apps/v1/namespaces/ns/statefulsets/s", "statefulsets", True),
        ("https://h/apis/kubeswarm.dev/v1alpha1/namespaces/ns/swarms/s/status", "swarms/status", True),
        ("https://h/apis/kubeswarm.dev/v1alpha1", "discovery", False),
        ("https://h/api", "discovery", False),
    ],
)
def test_requests_are_counted_by_resource(url: str, resource: str, single: bool) -> None:
    assert labels_of(url) == (resource, single)


@pytest.mark.parametrize(
    ("code", "kind"), [(404, NotFound), (409, Conflict), (429, Unavailable), (500, Unavailable), (403, ApiError)]
)
def test_answers_become_errors_of_ours(code: int, kind: type[ApiError]) -> None:
    error = _error(code, '{"kind":"Status","reason":"Because","message":"so it is"}')
    assert type(error) is kind
    assert (error.code, error.reason, str(error)) == (code, "Because", "so it is")
    assert str(_error(code, "<html>")) == "<html>"
    assert _error(code, "[]").code == code


def test_paths() -> None:
    assert PODS.path("ns") == "/api/v1/namespaces/ns/pods"
    assert LEASES.path("ns", "l") == "/apis/coordination.k8s.io/v1/namespaces/ns/leases/l"
    assert NODES.path("ns", "n", "status") == "/apis/kubeswarm.dev/v1alpha1/namespaces/ns/swarmnodes/n/status"


def test_a_good_configuration(tmp_path: Path) -> None:
    path = tmp_path / "operator.yaml"
    path.write_text("images: {worker: w}\nchain: {url: 'http://c', chainId: 1}\n")
    config = load(path)
    assert config.lease.renew_seconds == 5
    assert config.chain and config.chain.funding.target == "0.05"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("images: {}", "images.worker"),
        ("images: {worker: w}\nlease: {renewSeconds: 0}", "lease.renewSeconds"),
        ("images: [", "is not YAML"),
        ("", "operator.yaml"),
    ],
)
def test_a_bad_configuration_names_file_and_field(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "operator.yaml"
    path.write_text(text)
    with pytest.raises(InvalidConfig, match=words) as error:
        load(path)
    assert "operator.yaml" in str(error.value)


def test_a_missing_configuration(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="can't be read"):
        load(tmp_path / "absent.yaml")
