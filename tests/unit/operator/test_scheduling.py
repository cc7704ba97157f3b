"""Where pods run is the user's: what a template says reaches the pods, and autoscalers are let in."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_api.names import LAST_ATTEMPT_SECONDS
from kubeswarm_api.spec_training import Rollout
from kubeswarm_operator.build.deployment import deployment
from kubeswarm_operator.build.pods import GRACE_SECONDS
from kubeswarm_operator.build.stateful_set import stateful_set
from kubeswarm_operator.decide.scale import workers
from tests.unit.operator.things import IMAGES, OWNER, node_spec

PLACED: dict[str, Any] = {
    "priorityClassName": "research-high",
    "runtimeClassName": "nvidia",
    "schedulerName": "batch",
    "nodeSelector": {"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "terminationGracePeriodSeconds": 120,
    "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}],
}


@pytest.mark.parametrize("role", ["head", "rollout"])
def test_a_template_places_its_pods(role: str) -> None:
    container = {"head": "trainer", "rollout": "rollout"}[role]
    resources = {"limits": {"nvidia.com/gpu": 1}, "claims": [{"name": "gpu"}]}
    template = {role: {"spec": {**PLACED, "containers": [{"name": container, "resources": resources}]}}}
    spec = node_spec(template=template, rollout={"workers": 2})
    pods = {
        "head": stateful_set(OWNER, spec, IMAGES, "d", 1, None)["spec"]["template"]["spec"],
        "rollout": deployment(OWNER, spec, IMAGES, "d", 2)["spec"]["template"]["spec"],
    }
    pod, other = pods.pop(role), next(iter(pods.values()))
    assert {key: pod.get(key) for key in PLACED} == PLACED
    assert not other.keys() & (PLACED.keys() - {"terminationGracePeriodSeconds"}), "the other role has its own"
    found = next(each for each in pod["containers"] if each["name"] == container)["resources"]
    assert found["claims"] == [{"name": "gpu"}]
    assert found["limits"]["nvidia.com/gpu"] == 1
    assert found["requests"].keys() == {"cpu", "memory"}, "what it doesn't say stays"


def test_a_spot_notice_leaves_time_for_checkpoint_and_chain() -> None:
    pod = stateful_set(OWNER, node_spec(), IMAGES, "d", 1, None)["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == GRACE_SECONDS >= 30 + LAST_ATTEMPT_SECONDS


@given(least=st.integers(1, 9), most=st.integers(1, 9), scaled=st.integers(0, 20))
def test_an_autoscaler_stays_within_the_bounds(least: int, most: int, scaled: int) -> None:
    live = {"spec": {"rollout": {"workers": scaled}}}
    if most < least:
        with pytest.raises(ValueError, match="maxWorkers needs workers"):
            Rollout(workers=least, max_workers=most)
        return
    bounded = Rollout(workers=least, max_workers=most)
    found = workers(bounded, live)
    assert least <= found <= most
    assert found == scaled or not least <= scaled <= most
    assert workers(bounded, None) == least, "a Node that is made anew begins with the least"
    assert workers(Rollout(workers=least), live) == least, "where no autoscaler may, the spec says"
