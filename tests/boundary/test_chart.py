"""The chart, rendered by helm itself: what it writes is what the operator reads, and what it grants is what it asks."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.cluster.binaries import ensure_programs
from hack.cluster.layout import cache_folder
from kubeswarm_api import names
from kubeswarm_api.operator_config import OperatorConfig
from kubeswarm_indexer.__main__ import DATABASE_ENV, parse_options
from kubeswarm_operator.permissions import OWN_RULES, WATCHED_RULES, Rule

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "kubeswarm"
NAMESPACE = "kubeswarm-system"
Object = dict[str, Any]
Render = Callable[..., list[Object]]


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


EVERYTHING: Object = {"prometheus": {"enabled": True}, "indexer": {"enabled": True}}
BARE: Object = {
    "nats": {"enabled": False},
    "devChain": {"enabled": False},
    "dashboard": {"enabled": False},
    "networkPolicy": {"enabled": False},
    "crds": {"install": False},
}
ELSEWHERE: Object = {
    **BARE,
    "watchNamespaces": ["research", "kubeswarm-system"],
    "exchange": {"url": "nats://nats.example.com:4222"},
    "chain": {
        "url": "https://rollup.example.com",
        "chainId": 901,
        "accountSecret": "owner",
        "deployment": {"chainId": 901, "eas": "0x4200000000000000000000000000000000000021"},
    },
    "imagePullSecrets": ["registry"],
    "prometheus": {"enabled": True},
    "indexer": {"enabled": True, "databaseSecret": "postgres"},
}
VARIANTS = {"defaults": {}, "everything": EVERYTHING, "bare": BARE, "elsewhere": ELSEWHERE}


def of_kind(objects: list[Object], *kinds: str) -> Iterator[Object]:
    return (item for item in objects if item["kind"] in kinds)


def named(objects: list[Object], kind: str, name: str) -> Object:
    return next(item for item in of_kind(objects, kind) if item["metadata"]["name"] == name)


def pods(objects: list[Object]) -> list[tuple[str, Object]]:
    return [
        (item["metadata"]["name"], item["spec"]["template"])
        for item in of_kind(objects, "Deployment", "StatefulSet", "Job")
    ]


def operator_config(objects: list[Object]) -> OperatorConfig:
    data = named(objects, "ConfigMap", "kubeswarm-operator")["data"]
    return OperatorConfig.model_validate(yaml.safe_load(data[names.OPERATOR_CONFIG_FILE.name]))


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


@pytest.mark.parametrize("variant", VARIANTS)
def test_operator_yaml_is_the_operators_configuration(render: Render, variant: str) -> None:
    config = operator_config(render(VARIANTS[variant]))
    assert (config.chain is None) == (variant == "bare")
    assert (config.exchange is None) == (variant == "bare")


def test_defaults_of_the_chart_are_those_of_the_code(render: Render) -> None:
    config = operator_config(render())
    assert config.chain is not None
    assert config.exchange is not None
    assert config == OperatorConfig.model_validate(
        {
            "images": {"worker": config.images.worker},
            "chain": {"url": config.chain.url, "chainId": 31337},
            "exchange": {"url": config.exchange.url},
        }
    )


def test_values_reach_the_operator(render: Render) -> None:
    objects = render(ELSEWHERE)
    config = operator_config(objects)
    assert config.namespaces == ["research", "kubeswarm-system"]
    assert config.images.pull_secrets == ["registry"]
    assert config.chain is not None
    assert (config.chain.url, config.chain.chain_id) == ("https://rollup.example.com", 901)
    deployment_file = Path(config.chain.deployment_file or "")
    pod = named(objects, "Deployment", "kubeswarm-operator")["spec"]["template"]["spec"]
    mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes[mounts[str(deployment_file.parent)]]["configMap"]["name"] == "kubeswarm-operator"
    data = named(objects, "ConfigMap", "kubeswarm-operator")["data"]
    assert json.loads(data[deployment_file.name])["chainId"] == 901
    account = volumes[mounts[str(Path(config.chain.account_key_file).parent)]]["secret"]
    assert account["secretName"] == "owner"
    assert account["items"] == [{"key": "key", "path": Path(config.chain.account_key_file).name}]


def grants(role: Object) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def asked(rules: tuple[Rule, ...]) -> set[tuple[str, str, str]]:
    return {(rule.group, resource, verb) for rule in rules for resource in rule.resources for verb in rule.verbs}


def test_the_operator_is_granted_what_it_asks_and_no_more(render: Render) -> None:
    everywhere = render()
    role = named(everywhere, "ClusterRole", "kubeswarm-system-kubeswarm-operator")
    assert grants(role) == asked(WATCHED_RULES)
    own = named(everywhere, "Role", "kubeswarm-operator")
    assert grants(own) == asked(OWN_RULES)
    for rule in own["rules"]:
        assert "create" in rule["verbs"] or rule["resourceNames"], "only creation can't be bound to names"
    bound = [item for item in of_kind(everywhere, "ClusterRoleBinding", "RoleBinding") if "subjects" in item]
    mine = {"kind": "ServiceAccount", "name": "kubeswarm-operator", "namespace": NAMESPACE}
    assert {item["roleRef"]["name"] for item in bound if item["subjects"] == [mine]} == {
        "kubeswarm-system-kubeswarm-operator",
        "kubeswarm-operator",
    }


def test_watched_namespaces_need_no_rights_elsewhere(render: Render) -> None:
    objects = render(ELSEWHERE)
    assert list(of_kind(objects, "ClusterRoleBinding")) == []
    roles = [item for item in of_kind(objects, "Role") if item["metadata"]["name"].endswith("-kubeswarm-operator")]
    assert {role["metadata"]["namespace"] for role in roles} == {"research", "kubeswarm-system"}
    for role in roles:
        assert grants(role) == asked(WATCHED_RULES)


def test_pods_meet_the_restricted_standard(render: Render) -> None:
    templates = pods(render(EVERYTHING))
    assert len(templates) == 6
    for name, template in templates:
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
            assert "memory" in container["resources"]["limits"], name
        for volume in spec["volumes"]:
            kinds = set(volume) - {"name"}
            assert kinds <= {"configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected"}, name


def test_only_what_calls_the_api_has_a_token(render: Render) -> None:
    tokens = {name for name, template in pods(render(EVERYTHING)) if template["spec"]["automountServiceAccountToken"]}
    assert tokens == {"kubeswarm-operator", "kubeswarm-prometheus"}


def test_only_the_operator_and_the_deployment_see_the_chains_keys(render: Render) -> None:
    readers: dict[str, list[str]] = {}
    for name, template in pods(render(EVERYTHING)):
        for volume in template["spec"]["volumes"]:
            for item in volume.get("secret", {}).get("items", []):
                readers.setdefault(f"{volume['secret']['secretName']}/{item['key']}", []).append(name)
        for volume in template["spec"]["volumes"]:
            assert "items" in volume.get("secret", {"items": []}), "a whole Secret is mounted"
    assert readers == {
        "kubeswarm-dev-account/key": ["kubeswarm-operator"],
        "kubeswarm-dev-account/deployer": ["kubeswarm-chain-contracts"],
        "kubeswarm-exchange/nats.conf": ["kubeswarm-nats"],
    }


def test_the_development_chain_is_started_by_what_keeps_its_state(render: Render) -> None:
    container = named(render(), "StatefulSet", "kubeswarm-chain")["spec"]["template"]["spec"]["containers"][0]
    python, isolated, program = container["command"]
    state, block, copy, anvil, *_ = container["args"]
    assert (python, isolated, block, copy, anvil) == ("python3", "-I", "1", "5", "anvil")
    source, target = "contracts/kubeswarm_contracts", str(Path(program).parent)
    assert f"COPY {source} {target}\n" in (ROOT / "contracts" / "Dockerfile").read_text(encoding="utf-8")
    assert (ROOT / source / Path(program).name).is_file()
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert mounts[str(Path(state).parent)] == "data"
    assert not [argument for argument in container["args"] if argument.startswith(("--state", "--block-time"))]


def test_every_image_is_a_value(render: Render) -> None:
    image = {"repository": "registry.example.com/team/thing", "tag": "v7"}
    digest = "sha256:" + "ab" * 32
    parts = ("operator", "worker", "devChain", "nats", "prometheus")
    values: Object = {part: {"image": image} for part in parts} | {"imagePullPolicy": "Never"}
    values["prometheus"]["enabled"] = True
    values["nats"]["image"] = image | {"digest": digest}
    objects = render(values)
    for name, template in pods(objects):
        for container in template["spec"]["containers"]:
            suffix = f"@{digest}" if name == "kubeswarm-nats" else ":v7"
            assert container["image"] == "registry.example.com/team/thing" + suffix
            assert container["imagePullPolicy"] == "Never"
    images = operator_config(objects).images
    assert (images.worker, images.pull_policy) == ("registry.example.com/team/thing:v7", "Never")


def test_a_change_of_configuration_restarts_the_operator(render: Render) -> None:
    def annotations(values: Object) -> Object:
        return named(render(values), "Deployment", "kubeswarm-operator")["spec"]["template"]["metadata"]["annotations"]

    assert annotations({}) == annotations({"nats": {"storage": {"size": "9Gi"}}})
    assert annotations({}) != annotations({"operator": {"workers": 5}})


def test_services_find_their_pods(render: Render) -> None:
    objects = render(EVERYTHING)
    labels = [(name, template["metadata"]["labels"], template["spec"]) for name, template in pods(objects)]
    for service in of_kind(objects, "Service"):
        selector = service["spec"]["selector"].items()
        found = [(name, spec) for name, labelled, spec in labels if selector <= labelled.items()]
        assert [name for name, _ in found] == [service["metadata"]["name"]]
        ports = {port["name"] for container in found[0][1]["containers"] for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    config = operator_config(objects)
    assert config.chain is not None
    assert config.exchange is not None
    assert config.chain.url == "http://kubeswarm-chain.kubeswarm-system.svc:8545"
    assert config.exchange.url == "nats://kubeswarm-nats.kubeswarm-system.svc:4222"


def test_the_indexer_runs_with_the_values(render: Render) -> None:
    assert operator_config(render()).indexer is None
    for values, database in ((EVERYTHING, "sqlite:////data/run-log.db"), (ELSEWHERE, None)):
        objects = render(values)
        pod = named(objects, "Deployment", "kubeswarm-indexer")["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        options = parse_options(container["args"])
        chain, found = operator_config(objects).chain, operator_config(objects).indexer
        assert chain is not None and found is not None
        assert found.url == f"http://kubeswarm-indexer.kubeswarm-system.svc:{names.INDEXER_PORT}"
        assert (options.chain_url, options.chain_id, options.poll_seconds) == (chain.url, chain.chain_id, 2.0)
        assert (options.deployment is None) == (chain.deployment_file is None)
        assert {port["containerPort"] for port in container["ports"]} == {options.port}
        (env,) = container["env"]
        assert env["name"] == DATABASE_ENV
        if database is None:
            assert env["valueFrom"]["secretKeyRef"] == {"name": "postgres", "key": "url"}
        else:
            assert env["value"] == database
        claims = [item for item in of_kind(objects, "PersistentVolumeClaim") if "indexer" in item["metadata"]["name"]]
        assert len(claims) == (database is not None)
    elsewhere = operator_config(render({"indexer": {"url": "https://runs.example.com"}})).indexer
    assert elsewhere is not None and elsewhere.url == "https://runs.example.com"


def test_prometheus_scrapes_the_ports_that_the_pods_have(render: Render) -> None:
    text = named(render(EVERYTHING), "ConfigMap", "kubeswarm-prometheus")["data"]["prometheus.yml"]
    (job,) = yaml.safe_load(text)["scrape_configs"]
    renamed = {
        rule["regex"]: rule["replacement"] for rule in job["relabel_configs"] if rule.get("target_label") == "job"
    }
    assert renamed == {
        str(names.TRAINER_PORT): "trainer",
        str(names.ROLLOUT_PORT): "rollout",
        str(names.ATTESTOR_PORT): "attestor",
        str(names.OPERATOR_PORT): "operator",
        str(names.INDEXER_PORT): "indexer",
    }
    sources = {
        rule["source_labels"][0]: rule["target_label"] for rule in job["relabel_configs"] if "target_label" in rule
    }
    for label, target in ((names.SWARM_LABEL, "swarm"), (names.NODE_LABEL, "node")):
        assert sources["__meta_kubernetes_pod_label_" + label.replace(".", "_").replace("/", "_")] == target
    assert job["kubernetes_sd_configs"][0]["selectors"] == [{"role": "pod", "label": f"{names.APP_LABEL}={names.APP}"}]


def test_the_alerts_are_those_of_the_file(render: Render) -> None:
    rules = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text(encoding="utf-8"))
    config = named(render(EVERYTHING), "ConfigMap", "kubeswarm-prometheus")["data"]
    assert yaml.safe_load(config["alerts.yml"]) == rules
    assert yaml.safe_load(config["prometheus.yml"])["rule_files"] == ["/etc/prometheus/alerts.yml"]
    assert list(of_kind(render(EVERYTHING), "PrometheusRule")) == []
    [rule] = of_kind(render({"alerts": {"prometheusRule": True, "labels": {"release": "p"}}}), "PrometheusRule")
    assert rule["spec"] == rules and rule["metadata"]["labels"]["release"] == "p"


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
