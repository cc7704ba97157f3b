"""The pods of the chart: restricted, found by their Services, scraped, with no key that is not theirs."""

from pathlib import Path

import yaml

from kubeswarm_api import names
from kubeswarm_indexer.__main__ import DATABASE_ENV, parse_options
from tests.boundary.chart import (
    CHART,
    ELSEWHERE,
    EVERYTHING,
    ROOT,
    Object,
    Render,
    named,
    of_kind,
    operator_config,
    pods,
)


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
