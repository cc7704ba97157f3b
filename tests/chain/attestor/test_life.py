"""A Node's attestor as a process, from registration to its end: each finished round is attested once."""

import time

from kubeswarm_api import names
from kubeswarm_api.encoding import digest
from kubeswarm_api.spec_training import Attestation
from kubeswarm_contracts import Account, Transactor, domain, new_key, swarm_id
from kubeswarm_workers.attest import loop
from tests.chain.attestor.harness import metric, problem


def test_it_registers_joins_attests_and_ends_with_nothing_left(anvil, attestor):
    node = attestor(anvil, ether=0, rounds=100, seconds=3600)
    node.train(2)
    node.start()
    report = node.wait(problem("KeyUnfunded"))
    assert node.node_id in report.problem.message and not report.registered
    node.fund(1)
    node.wait_attested(2)
    report = node.wait(lambda report: report.problem is None and report.spooled_rounds == 2)
    assert report.registered and report.joined
    node.train(3)
    node.wait_attested(5)
    text = node.get("/metrics")
    assert metric(text, "kubeswarm_attestor_attested_rounds") == 5
    assert metric(text, "kubeswarm_attestor_pending_rounds") == 0
    assert metric(text, "kubeswarm_attestor_attestations_total") == node.report().attestations >= 2
    assert metric(text, "kubeswarm_attestor_gas_used_total") == node.report().gas_used > 0
    assert 0 < metric(text, "kubeswarm_attestor_balance_ether") < 1
    assert node.get("/healthz") == b"ok\n"
    assert node.stop() == 0


def test_rounds_wait_for_company_and_sigterm_brings_the_rest(anvil, attestor):
    node = attestor(anvil, rounds=4, seconds=3600)
    node.configure(attest=Attestation(rounds=4, seconds=3600))
    node.train(3)
    node.start()
    node.wait(lambda report: report.joined and report.spooled_rounds == 3)
    time.sleep(2)
    assert node.on_chain() == []
    started = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - started < 12
    assert node.on_chain() == [1, 2, 3]
    node.train(1)  # the last round of the spec
    node.start()
    node.wait_attested(4)
    found = node.chain.attestations(node.swarm_id)
    assert [(each.first, each.last) for each in found] == [(1, 3), (4, 4)]


def test_a_damaged_spool_is_said_and_what_is_before_it_still_counts(anvil, attestor, running):
    node = attestor(anvil)
    node.train(3)
    spool = node.spool
    third = (spool / "00000003.json").read_bytes()
    (spool / "00000003.json").write_bytes(third[:100])
    attest = running(node)
    report = attest.wait(problem("SpoolDamaged"))
    assert "00000003.json" in report.problem.message or "not a round record" in report.problem.message
    assert node.on_chain() == [1, 2]
    (spool / "00000003.json").write_bytes(third)
    node.wait_chain(3)
    attest.wait(lambda report: report.problem is None)


def test_a_swarm_that_is_not_there_yet_is_waited_for(anvil, attestor, running):
    node = attestor(anvil)
    owner, salt = anvil.transactor(), digest(b"later" + node.node_id.encode())
    node.swarm_id = swarm_id(owner.account.address, salt)
    node.configure(swarm_id=node.swarm_id)
    node.train(1)
    attest = running(node)
    assert attest.wait(problem("SwarmNotFound")).registered
    owner.create_swarm(salt, digest(b"config"))
    node.wait_chain(1)


def test_an_ejected_node_is_told_and_goes_on_when_it_is_invited_back(anvil, attestor, running):
    node = attestor(anvil)
    attest = running(node)
    node.train(1)
    node.wait_chain(1)
    node.owner.eject(node.swarm_id, node.node_id, "a drill")
    node.train(1)
    report = attest.wait(problem("ChainRejected"))
    assert "ejected" in report.problem.message and not report.joined
    node.owner.invite(node.swarm_id, node.node_id)
    node.wait_chain(2)


def test_it_does_not_start_without_its_key_and_says_why(anvil, attestor):
    node = attestor(anvil)
    node.write(names.IDENTITY_KEY_FILE, "0x" + "00" * 31)
    node.start()
    assert node.process.wait(30) == 1
    node.process = None
    assert str(node.path(names.IDENTITY_KEY_FILE)) in node.log.read_text()


def test_a_rotated_key_goes_on_as_the_same_node(anvil, attestor):
    node = attestor(anvil)
    node.configure(node_id=node.node_id)
    node.train(2)
    node.start()
    node.wait_attested(2)
    former = Account(node.key)
    node.key, address = new_key()
    anvil.rpc("anvil_setBalance", address, hex(10**19))
    node.stop()
    node.write(names.IDENTITY_KEY_FILE, node.key)
    node.train(1)
    node.start()
    report = node.wait(problem("ChainRejected"))  # the chain does not know of it yet
    assert "rotate the Node" in report.problem.message and former.address in report.problem.message
    proof = Account(node.key).sign_rotation(
        domain(node.chain.deployment),
        node.node_id,
        former.address,
        node.chain.key_nonce(address),
        node.chain.clock() + 600,
    )
    Transactor(node.chain, former).rotate_key(node.node_id, proof)
    node.wait_attested(3)
    report = node.wait(lambda report: report.problem is None)
    assert (report.node_id, report.address) == (node.node_id, address)
    assert node.notary().node_id == node.node_id


def test_a_volume_that_fills_is_told_before_a_record_finds_no_room(anvil, attestor, running, monkeypatch, caplog):
    node = attestor(anvil)
    node.train(1)
    attest = running(node)
    node.wait_chain(1)
    attest.wait(lambda report: report.problem is None)
    room = attest.gauge("kubeswarm_attestor_spool_room_records")
    assert room and room > 0
    monkeypatch.setattr(loop, "SCARCE_RECORDS", 2 * room)  # as if the volume were that much smaller
    report = attest.wait(problem("SpoolFilling"))
    assert "room for" in report.problem.message
    assert any("has room for" in str(vars(record).get("cause")) for record in caplog.records)
    node.train(1)  # it says so, and works
    node.wait_chain(2)
    monkeypatch.setattr(loop, "SCARCE_RECORDS", 1)
    attest.wait(lambda report: report.problem is None)
