"""Chains that are away, go back, ask too much, or are others: what can't be done is said, and done later, once."""

import os
import time

import pytest

from kubeswarm_api.node_config import GasCaps
from kubeswarm_api.spec_training import Attestation
from kubeswarm_contracts import Account
from kubeswarm_contracts.deploy import DEVELOPMENT_KEY, deploy
from kubeswarm_workers.attest.loop import Pace
from tests.chain.attestor.harness import problem


def test_a_chain_that_was_away_is_caught_up_with(start_anvil, attestor, tmp_path):
    state = str(tmp_path / "state.json")
    anvil = start_anvil("--state", state)
    list(deploy(anvil.chain, Account(DEVELOPMENT_KEY)))
    node = attestor(anvil)
    node.start()
    node.train(2)
    node.wait_attested(2)
    anvil.stop()
    node.wait(problem("ChainUnreachable"))
    node.train(5)
    node.wait(lambda report: report.spooled_rounds == 7)
    start_anvil("--state", state, port=anvil.port)
    node.wait_attested(7, 15)
    node.wait(lambda report: report.problem is None)


def test_rounds_that_a_reorganisation_took_are_sent_again(own_anvil, attestor):
    node = attestor(own_anvil)
    node.start()
    node.train(2)
    node.wait_attested(2)
    own_anvil.rpc("anvil_mine", hex(30))
    node.train(2)
    node.wait_attested(4)
    own_anvil.rpc("anvil_mine", hex(6))
    own_anvil.rpc("anvil_reorg", 7, [])
    assert len(node.on_chain()) < 4
    node.wait_chain(4)
    assert "the chain went back" in node.log.read_text()


def test_a_reorganisation_of_everything_registers_and_joins_again(own_anvil, attestor, running):
    node = attestor(own_anvil)
    before = own_anvil.chain.block()
    attest = running(node)
    node.train(3)
    node.wait_chain(3)
    own_anvil.rpc("anvil_reorg", own_anvil.chain.block() - before, [])
    node.wait_chain(3)
    attest.wait(lambda report: report.attested_rounds == 3 and report.problem is None)


def test_a_chain_that_is_not_the_configured_one_gets_nothing(start_anvil, attestor):
    anvil = start_anvil()
    list(deploy(anvil.chain, Account(DEVELOPMENT_KEY)))
    node = attestor(anvil)
    anvil.stop()
    start_anvil("--chain-id", "5", port=anvil.port)
    node.train(1)
    node.start()
    assert "leads to chain 5" in node.wait(problem("ChainRejected")).problem.message


def test_reorganisations_of_every_depth_to_twenty(own_anvil, attestor, running):
    node = attestor(own_anvil)
    attest = running(node)
    node.train(1)
    node.wait_chain(1)
    own_anvil.rpc("anvil_mine", hex(30))
    for depth in range(1, 21):
        node.train(1)
        node.wait_chain(node.spooled)
        own_anvil.rpc("anvil_mine", hex(depth - 1))
        own_anvil.rpc("anvil_reorg", depth, [])
        node.wait_chain(node.spooled)
    attest.wait(lambda report: report.attested_rounds == 21 and report.problem is None)
    assert attest.gauge("kubeswarm_attestor_pending_rounds") == 0


def test_a_long_outage_costs_few_attestations_and_no_record(start_anvil, attestor, running, tmp_path):
    """A chain that is away for hundreds of attempts, as many as an hour has at the pace of a cluster."""
    state = str(tmp_path / "state.json")
    anvil = start_anvil("--state", state)
    list(deploy(anvil.chain, Account(DEVELOPMENT_KEY)))
    node = attestor(anvil)
    quick = Pace(spool=0.01, chain=0.05, first_retry=0.01, last_retry=0.01)
    attest = running(node, pace=quick)
    node.train(1)
    attest.wait(lambda report: report.attested_rounds == 1)
    anvil.stop()
    failures = "kubeswarm_attestor_errors_total"

    def failed() -> float:
        return attest.attestor.metrics.collectors.get_sample_value(failures, {"reason": "ChainUnreachable"}) or 0

    for _ in range(60):
        node.train(1)
        time.sleep(0.1)
    attest.wait(lambda _: failed() >= 300)
    attest.wait(lambda report: problem("ChainUnreachable")(report) and report.spooled_rounds == 61)
    assert attest.gauge("kubeswarm_attestor_pending_rounds") == 60
    # sixty rounds of a tenth of a second and more have passed: an alert waits for this to grow
    assert (attest.gauge("kubeswarm_attestor_pending_seconds") or 0) > 5
    start_anvil("--state", state, port=anvil.port)
    attest.wait(lambda report: report.attested_rounds == 61 and report.problem is None)
    assert node.on_chain() == list(range(1, 62))
    assert len(node.chain.attestations(node.swarm_id)) <= 4


def test_a_base_fee_a_hundred_times_higher_is_waited_out(own_anvil, attestor, running):
    node = attestor(own_anvil)
    node.configure(gas=GasCaps(max_fee_gwei=50, max_priority_fee_gwei=1))
    attest = running(node)
    node.train(1)
    node.wait_chain(1)
    usual = int(own_anvil.rpc("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16)
    own_anvil.rpc("anvil_setNextBlockBaseFeePerGas", hex(max(100 * usual, 100 * 10**9)))
    own_anvil.rpc("evm_mine")
    node.train(2)
    report = attest.wait(problem("FeeAboveCap"))
    assert "the cap 50" in report.problem.message and "chain.gas.maxFeeGwei" in report.problem.message
    assert node.on_chain() == [1]
    own_anvil.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**9))
    own_anvil.rpc("evm_mine")
    node.wait_chain(3)
    attest.wait(lambda report: report.problem is None)
    for found in node.chain.attestations(node.swarm_id):
        sent = own_anvil.rpc("eth_getTransactionByHash", found.tx_hash)
        assert int(sent["maxFeePerGas"], 16) <= 50 * 10**9
        assert int(sent["maxPriorityFeePerGas"], 16) <= 10**9


def test_a_base_fee_that_jumps_while_a_transaction_waits_is_waited_out_too(own_anvil, attestor, running):
    node = attestor(own_anvil)
    node.configure(gas=GasCaps(max_fee_gwei=50))
    attest = running(node)
    node.train(1)
    node.wait_chain(1)
    own_anvil.rpc("evm_setAutomine", False)
    node.train(1)
    until(lambda: own_anvil.rpc("txpool_content")["pending"])
    own_anvil.rpc("anvil_setNextBlockBaseFeePerGas", hex(100 * 10**9))
    own_anvil.rpc("evm_mine")
    attest.wait(problem("FeeAboveCap"))
    own_anvil.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**9))
    own_anvil.rpc("evm_mine")
    own_anvil.rpc("evm_setAutomine", True)
    own_anvil.rpc("evm_mine")
    node.wait_chain(2)
    attest.wait(lambda report: report.problem is None)


def test_a_key_out_of_funds_is_said_with_what_it_needs_and_goes_on_when_it_is_filled(anvil, attestor, running):
    node = attestor(anvil)
    attest = running(node)
    node.train(1)
    node.wait_chain(1)
    node.fund(0)
    node.train(2)
    report = attest.wait(lambda report: problem("KeyUnfunded")(report) and report.spooled_rounds == 3)
    assert node.node_id in report.problem.message and "send it at least" in report.problem.message
    node.fund(1)
    node.wait_chain(3)
    attest.wait(lambda report: report.problem is None)


@pytest.mark.parametrize("ahead", [-86400, 86400])
def test_clocks_that_differ_by_a_day_change_nothing(start_anvil, attestor, running, ahead):
    """The chain's clock against ours; and a record from our future, as after a clock was set back."""
    anvil = start_anvil("--timestamp", str(int(time.time()) + ahead))
    list(deploy(anvil.chain, Account(DEVELOPMENT_KEY)))
    assert abs(anvil.chain.clock() - time.time() - ahead) < 120
    node = attestor(anvil, rounds=1000, seconds=1)
    node.configure(attest=Attestation(rounds=1000, seconds=1))
    node.train(2)
    later = time.time() + 1.5
    for path in node.spool.iterdir():
        os.utime(path, (later, later))
    attest = running(node)
    node.wait_chain(2)
    attest.wait(lambda report: report.problem is None)


def test_a_gap_in_the_nonces_that_another_process_left_is_filled(own_anvil, attestor, running):
    node = attestor(own_anvil)
    node.train(1)
    account = Account(node.key)
    fees = {"maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9, "gas": 21000}
    body = {"chainId": 31337, "to": node.owner.account.address, "value": 1, "data": "0x"}
    for nonce in (2, 4):  # the key's third and fifth transaction, before there is a first
        own_anvil.rpc("eth_sendRawTransaction", account.sign_transaction({**body, **fees, "nonce": nonce})[0])
    attest = running(node)
    node.wait_chain(1)
    for _ in range(2):
        node.train(1)
        node.wait_chain(node.spooled)
    attest.wait(lambda report: report.problem is None)
    assert int(own_anvil.rpc("eth_getTransactionCount", node.node_id, "latest"), 16) >= 5


def until(what):
    end = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)
