"""What the chart writes is what the operator reads, and what it grants is what the operator asks for."""

import json
from pathlib import Path

import pytest

from kubeswarm_api.operator_config import OperatorConfig
from kubeswarm_operator.permissions import OWN_RULES, WATCHED_RULES, Rule
from tests.boundary.chart import ELSEWHERE, NAMESPACE, VARIANTS, Object, Render, named, of_kind, operator_config


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


def test_a_change_of_configuration_restarts_the_operator(render: Render) -> None:
    def annotations(values: Object) -> Object:
        return named(render(values), "Deployment", "kubeswarm-operator")["spec"]["template"]["metadata"]["annotations"]

    assert annotations({}) == annotations({"nats": {"storage": {"size": "9Gi"}}})
    assert annotations({}) != annotations({"operator": {"workers": 5}})
