"""Who reads the log instead of the chain is told the same: the client, the operator's view, and `kubeswarm lineage`."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kubeswarm_api.encoding import digest
from kubeswarm_api.operator_config import ChainSettings, IndexerSettings
from kubeswarm_cli.local.provenance import from_log
from kubeswarm_contracts import ChainRejected, ChainUnreachable
from kubeswarm_contracts.deploy import DEVELOPMENT_KEY
from kubeswarm_contracts.run_log import RunLog
from kubeswarm_operator.chain import ChainView, NodeTarget, SwarmTarget, Targets
from kubeswarm_operator.observe.snapshot import ChainFacts
from tests.chain.endpoints import Endpoint, serving
from tests.chain.run_log.history import History

NOWHERE = "http://127.0.0.1:9"
NO_RUN = b'{"detail": "there is no such run"}'


def test_the_log_answers_as_the_chain(told: History, served: Any) -> None:
    log, chain = RunLog(served.url, 31337), told.chain
    assert log.block() == chain.block()
    assert log.swarm(told.swarm_id) == chain.swarm(told.swarm_id)
    assert log.swarm("0x" + 64 * "1") is None
    for node in told.nodes:
        name = told.id_of(node)
        assert log.next_round(told.swarm_id, name) == chain.next_round(told.swarm_id, name)
        attested = chain.attestations(told.swarm_id, node_id=name)
        assert [(each.uid, each.records_root) for each in log.rounds(told.swarm_id, name)] == [
            (each.uid, each.root) for each in attested
        ]
    assert log.next_round(told.swarm_id, "0x" + 40 * "1") == 1


def test_what_is_wrong_with_a_log_is_told(served: Any) -> None:
    with pytest.raises(ChainRejected, match="is of chain 31337 instead of 5"):
        RunLog(served.url, 5).block()
    with pytest.raises(ChainUnreachable, match=r"no answer from the log of runs .* check indexer\.url"):
        RunLog(f"{NOWHERE}/token").block()
    with pytest.raises(ValueError, match=r"indexer\.url must be http"):
        RunLog("ftp://example.org")


class FirstConnectionIsNoLog(Endpoint):
    """As where a Service without endpoints led elsewhere: that connection answers 404 for as long as it is kept."""

    def answer(self) -> tuple[int, bytes]:
        return 404, b"" if self.is_first else NO_RUN


class ClosesWhenAskedAgain(Endpoint):
    """As a server that has had enough of an idle connection just when the next question comes."""

    def do_GET(self) -> None:
        if self.client_address in self.asked:
            self.close_connection = True
        else:
            super().do_GET()

    def answer(self) -> tuple[int, bytes]:
        return 404, NO_RUN


def test_a_connection_that_its_server_closes_costs_nothing() -> None:
    with serving(ClosesWhenAskedAgain) as url:
        log = RunLog(url, 31337)
        for _ in range(3):
            assert log.swarm("0x" + 64 * "1") is None


def test_a_connection_that_leads_elsewhere_is_not_kept() -> None:
    with serving(FirstConnectionIsNoLog) as url:
        log = RunLog(url, 31337)
        with pytest.raises(ChainUnreachable, match="no answer from the log of runs"):
            log.swarm("0x" + 64 * "1")
        assert log.swarm("0x" + 64 * "1") is None


def look(told: History, folder: Path, indexer: str | None) -> ChainFacts:
    """What the operator's view has after one look."""
    (folder / "key").write_text(DEVELOPMENT_KEY)
    settings = ChainSettings(url=told.anvil.url, chain_id=31337, account_key_file=str(folder / "key"))
    nodes = tuple(NodeTarget(told.swarm_id, told.id_of(node), active=True) for node in told.nodes)
    targets = Targets((SwarmTarget(told.swarm_id, None, digest(b"config")),), nodes)
    log = None if indexer is None else IndexerSettings(url=indexer)
    nothing_is_spent: Any = None  # not the leader, it may not write
    view = ChainView(settings, log, lambda: targets, lambda _before, _after: None, lambda: 0.0, nothing_is_spent)

    async def once() -> ChainFacts:
        polling = asyncio.create_task(view.poll())
        await asyncio.wait_for(view.first.wait(), 60)
        polling.cancel()
        return view.facts

    return asyncio.run(once())


def test_the_operators_status_is_the_same_from_both(told: History, served: Any, tmp_path: Path) -> None:
    from_chain, from_indexer = look(told, tmp_path, None), look(told, tmp_path, served.url)
    assert from_chain.reachable and sum(from_chain.attested.values()) > 0
    assert from_chain.members == {told.swarm_id: told.chain.swarm(told.swarm_id).members}
    assert replace(from_indexer, owner=from_chain.owner) == from_chain
    away = look(told, tmp_path, NOWHERE)
    assert not away.reachable
    assert "check indexer.url" in away.message and "training goes on" in away.message


def test_the_log_alone_tells_a_models_attestations(told: History, served: Any) -> None:
    log = RunLog(served.url)
    ends = log.rounds(told.swarm_id, told.id_of(told.nodes[0])) or log.rounds(told.swarm_id)
    found = from_log(log, ends[-1].model)
    assert found[-1].model == ends[-1].model
    assert [each.first_round for each in found] == [1, *(each.last_round + 1 for each in found[:-1])]
