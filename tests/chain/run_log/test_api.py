"""The HTTP API, asked of the real process: by a client that pages, and by one that tries to break it."""

import json
import signal
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode

from kubeswarm_api.errors import InvalidConfig
from kubeswarm_api.run_log import MAX_PAGE, LogState, Page, Participant, Run
from kubeswarm_contracts import deployment
from kubeswarm_indexer.store import Store
from tests.chain.run_log.history import History


@pytest.fixture(scope="module")
def document(served: Any) -> Any:
    return schemathesis.openapi.from_url(f"{served.url}/openapi.json")


SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_is_as_the_document_says(document: Any, mode: GenerationMode) -> None:
    """schemathesis: whatever is asked, status, headers, media type and body are as described, never a 5xx."""
    operations = [result.ok() for result in document.get_all_operations()]
    assert len(operations) >= 14
    for operation in operations:

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=10, derandomize=True, suppress_health_check=SLOW)
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate()

        try:
            check()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE and not list(operation.iter_parameters())


def test_the_document_describes_every_path_of_the_api(served: Any) -> None:
    document = served.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    paths = document["paths"]
    for resource in ("log", "runs", "rounds", "nodes", "payments", "pools", "campaigns"):
        assert f"/v1/{resource}" in paths
    assert {method for path in paths.values() for method in path} == {"get"}


def test_the_types_of_the_answers_are_those_of_the_api_package(told: History, served: Any) -> None:
    state = LogState.model_validate_json(served.get("/v1/log").content)
    assert (state.chain_id, state.resolver, state.behind) == (31337, told.chain.deployment.resolver, 0)
    assert state.head is not None and state.head.number == told.chain.block()
    runs = Page[Run].model_validate_json(served.get("/v1/runs").content)
    assert [run.swarm_id for run in runs.items] == [told.swarm_id]
    nodes = Page[Participant].model_validate_json(served.get(f"/v1/runs/{told.swarm_id}/nodes").content)
    assert [each.node_id for each in nodes.items] == sorted(told.id_of(node) for node in told.nodes)


@pytest.mark.parametrize("path", ["/v1/rounds", "/v1/payments", "/v1/nodes", "/v1/runs/{swarm}/nodes",
                                  "/v1/runs/{swarm}/memberships", "/v1/nodes/{node}/changes"])  # fmt: skip
def test_small_pages_put_together_are_the_list(told: History, served: Any, path: str) -> None:
    path = path.format(swarm=told.swarm_id, node=told.id_of(told.nodes[0]))
    whole = served.get(path, limit=MAX_PAGE).json()
    assert whole["next"] is None and len(whole["items"]) >= 2
    pieces: list[Any] = []
    after: dict[str, Any] = {}
    while True:
        page = served.get(path, limit=1, **after).json()
        assert len(page["items"]) == 1
        pieces += page["items"]
        if page["next"] is None:
            break
        assert page["next"] == page["items"][-1]["cursor"]
        after = {"after": page["next"]}
    assert pieces == whole["items"]


def test_lists_are_restricted_by_what_they_are_asked_for(told: History, served: Any) -> None:
    every = served.get("/v1/rounds", limit=MAX_PAGE).json()["items"]
    node, one = told.id_of(told.nodes[0]), every[0]
    assert served.get("/v1/rounds", nodeId=node, limit=MAX_PAGE).json()["items"] == [
        each for each in every if each["nodeId"] == node
    ]
    assert one in served.get("/v1/rounds", model=one["model"]).json()["items"]
    held = served.get("/v1/rounds", swarmId=told.swarm_id, nodeId=one["nodeId"], round=one["lastRound"]).json()
    assert held["items"] == [one]
    assert served.get(f"/v1/rounds/{one['uid']}").json() == one
    payments = served.get("/v1/payments", limit=MAX_PAGE).json()["items"]
    settled = served.get("/v1/payments", kind="roundsSettled", fund=told.pool, limit=MAX_PAGE).json()["items"]
    assert settled == [each for each in payments if each["kind"] == "roundsSettled"]


def test_what_is_not_there_and_what_makes_no_sense_is_told(served: Any) -> None:
    assert served.get("/v1/runs/0x" + 64 * "1").status_code == 404
    refused = served.get("/v1/rounds", limit=MAX_PAGE + 1)
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["query", "limit"])
    assert served.get("/v1/rounds", after="x").status_code == 422
    assert httpx.post(f"{served.url}/v1/runs").status_code == 405


def test_metrics_health_and_logs(told: History, served: Any) -> None:
    assert served.get("/healthz").text == "ok\n"
    served.get("/v1/runs/0x" + 64 * "2")
    metrics = served.get("/metrics").text
    assert f"kubeswarm_indexer_head_block {told.chain.block()}.0" in metrics
    assert "kubeswarm_indexer_lag_blocks 0.0" in metrics
    assert 'kubeswarm_indexer_request_seconds_count{route="/v1/runs/{swarmId}",status="404"}' in metrics
    assert "0x22222222" not in metrics
    lines = [json.loads(line) for line in served.log.read_text().splitlines()]
    assert lines[0]["message"] == "following"


def test_a_chain_that_goes_away_and_comes_back(own_anvil: Any, start_anvil: Any, start_indexer: Any) -> None:
    history = History(own_anvil, 12)
    history.begin()
    indexer = start_indexer(own_anvil.url).ready().reach(own_anvil.chain.block())
    own_anvil.stop()
    indexer.until(lambda: 'failures_total{reason="ChainUnreachable"}' in indexer.get("/metrics").text, "no failure")
    assert indexer.get("/readyz").status_code == 200
    assert indexer.get(f"/v1/runs/{history.swarm_id}").json()["members"] == 3
    assert "can't follow the chain now" in indexer.log.read_text()
    fresh = start_anvil(port=own_anvil.port)  # another chain by its blocks: nothing of ours is on it
    fresh.rpc("anvil_mine", "0x2")
    indexer.until(lambda: indexer.get(f"/v1/runs/{history.swarm_id}").status_code == 404, "not followed")


def test_it_ends_quietly_and_goes_on_where_it_was(own_anvil: Any, start_indexer: Any, tmp_path: Any) -> None:
    history, database = History(own_anvil, 13), f"sqlite:///{tmp_path / 'kept.db'}"
    history.begin()
    first = start_indexer(own_anvil.url, database).ready().reach(own_anvil.chain.block())
    assert first.stop() == 0
    history.attest()
    second = start_indexer(own_anvil.url, database).ready().reach(own_anvil.chain.block())
    assert second.get("/v1/rounds").json()["items"]
    second.process.send_signal(signal.SIGKILL)
    second.process.wait(10)
    history.attest()
    third = start_indexer(own_anvil.url, database).ready().reach(own_anvil.chain.block())
    assert len(third.get("/v1/rounds").json()["items"]) == 2


@pytest.mark.parametrize(
    ("database", "told"),
    [
        ("mysql://somewhere/x", r"database\.url must be sqlite"),
        ("sqlite://", r"database\.url must be sqlite"),
        ("sqlite:////nonexistent/x.db", "can't be used"),
        ("postgresql://me:secret@127.0.0.1:9/x", "can't be used"),
    ],
)
def test_a_database_that_can_not_be_used_is_told(database: str, told: str) -> None:
    with pytest.raises(InvalidConfig, match=told) as refused:
        Store(database, deployment(31337))
    assert "secret" not in str(refused.value)
