"""The chart, rendered by helm itself: its values and their schema, its CRDs, its package."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.boundary.chart import CHART, ROOT, VARIANTS, Object, Render, of_kind


def test_lint_is_clean(helm: Path) -> None:
    for values in VARIANTS.values():
        command = [helm, "lint", CHART, "--strict", "--values", "-"]
        done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_crds_are_those_of_the_api(render: Render) -> None:
    sources = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "crds").glob("*.yaml")}
    copies = {path.name: path.read_text(encoding="utf-8") for path in (CHART / "files" / "crds").glob("*.yaml")}
    assert len(sources) == 2
    assert copies == sources
    rendered = {crd["metadata"]["name"]: crd for crd in of_kind(render(), "CustomResourceDefinition")}
    for text in sources.values():
        source = yaml.safe_load(text)
        crd = rendered[source["metadata"]["name"]]
        assert crd["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert crd == source


def test_crds_go_with_the_release_when_not_kept(render: Render) -> None:
    for crd in of_kind(render({"crds": {"keep": False}}), "CustomResourceDefinition"):
        assert "annotations" not in crd["metadata"]


REFUSED: list[tuple[Object, str]] = [
    ({"operator": {"replica": 2}}, "replica"),
    ({"operator": {"replicas": "two"}}, "/operator/replicas"),
    ({"imagePullPolicy": "Sometimes"}, "/imagePullPolicy"),
    ({"worker": {"image": {"repository": "x", "digest": "latest"}}}, "/worker/image/digest"),
    ({"watchNamespaces": ["Research"]}, "/watchNamespaces/0"),
    ({"chain": {"url": "rollup.example.com"}}, "/chain/url"),
    ({"chain": {"funding": {"minimum": "a little"}}}, "/chain/funding/minimum"),
    ({"exchange": {"url": "http://nats"}}, "/exchange/url"),
    ({"nats": {"storage": {"size": "4"}}}, "/nats/storage/size"),
    ({"chain": {"url": "https://rollup.example.com"}}, "set devChain.enabled=false"),
    ({"chain": {"url": "https://rollup.example.com"}, "devChain": {"enabled": False}}, "chain.accountSecret"),
    ({"exchange": {"url": "nats://nats.example.com"}}, "set nats.enabled=false"),
    ({"indexer": {"url": "runs.example.com"}}, "/indexer/url"),
    ({"indexer": {"url": "https://runs.example.com", "enabled": True}}, "set indexer.enabled=false"),
    ({"indexer": {"enabled": True}, "devChain": {"enabled": False}}, "indexer.enabled needs a chain"),
]


@pytest.mark.parametrize(("values", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_bad_values_are_refused_by_name(render: Render, values: Object, message: str) -> None:
    with pytest.raises(ValueError, match=r"(?s).*") as refusal:
        render(values)
    told = str(refusal.value).replace(".", "/") if message.startswith("/") else str(refusal.value)
    assert message.strip("/") in told


def test_every_value_is_in_the_schema_and_in_the_readme() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    readme = (CHART / "README.md").read_text(encoding="utf-8")
    assert values.keys() == schema["properties"].keys() - {"global"}
    for name, value in values.items():
        inner = schema["properties"][name].get("properties", {})
        if isinstance(value, dict) and inner:
            assert value.keys() == inner.keys()
            assert [key for key in value if f"`{name}.{key}`" not in readme and f"`{name}.{key}." not in readme] == []
        else:
            assert f"`{name}`" in readme


def test_the_charts_version_is_the_projects() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    project = (ROOT / "operator" / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{chart["appVersion"]}"' in project


def test_the_chart_packages(helm: Path, tmp_path: Path) -> None:
    subprocess.run([helm, "package", CHART, "--destination", tmp_path], check=True, capture_output=True)
    (package,) = tmp_path.glob("kubeswarm-*.tgz")
    shutil.unpack_archive(package, tmp_path / "unpacked", filter="data")
    assert (tmp_path / "unpacked" / "kubeswarm" / "files" / "crds" / "swarms.yaml").exists()
