"""Rounds are attested in order, once, by their own Node; each of them and each rollout can be proven."""

import pytest

from kubeswarm_api import merkle
from kubeswarm_api.encoding import digest, to_hex
from kubeswarm_api.errors import InvalidRecord
from kubeswarm_contracts import MAX_ROUNDS, AttestationData, ChainRejected


def rejection(call, *arguments) -> ChainRejected:
    with pytest.raises(ChainRejected) as caught:
        call(*arguments)
    return caught.value


def test_batches_of_rounds_are_taken_in_order_and_read_back(participant):
    chain, swarm, node = participant.chain, participant.swarm_id, participant.node_id
    assert chain.next_round(swarm, node) == 1
    sent = [participant.attestation(1, 4), participant.attestation(5, 8)]
    results = [participant.transactor.attest(data) for data in sent]
    assert chain.next_round(swarm, node) == 9

    found = chain.attestations(swarm, gas=True)
    assert [(each.first, each.last, each.node_id) for each in found] == [(1, 4, node), (5, 8, node)]
    assert [each.uid for each in found] == [result.uid for result in results]
    assert [each.root for each in found] == [data.records_root for data in sent]
    assert [each.gas_used for each in found] == [result.gas_used for result in results]
    assert [each.tx_hash for each in found] == [result.tx_hash for result in results]
    assert [chain.attestation(each.uid) for each in found] == sent
    assert chain.attestations(swarm, node_id="0x" + 40 * "1") == []
    assert [each.first for each in chain.attestations(swarm, from_block=results[1].block, node_id=node)] == [5]
    assert chain.attestation(to_hex(digest(b"none"))) is None


def test_repeated_and_skipped_rounds_are_refused(participant):
    participant.transactor.attest(participant.attestation(1, 4))
    for first, last in [(1, 4), (4, 6), (6, 8)]:
        refused = rejection(participant.transactor.attest, participant.attestation(first, last))
        assert refused.reason == "UnexpectedRound"
        assert refused.arguments == {"expected": 5, "firstRound": first}
    assert f"round {6} was offered where round 5 is next" in str(refused)
    assert len(participant.chain.attestations(participant.swarm_id)) == 1


def test_another_history_is_refused(participant):
    """A Node that lost its records and made others can't go on where the old ones ended."""
    participant.transactor.attest(participant.attestation(1, 4))
    assert participant.chain.head(participant.swarm_id, participant.node_id) == participant.attestation(1, 4).head
    other = participant.records(1, 6, reward=7)[4:]
    refused = rejection(participant.transactor.attest, AttestationData.of(other))
    assert refused.reason == "UnexpectedPrevious"
    assert refused.arguments["previous"] == other[0].previous
    assert "another history was attested" in str(refused)
    participant.transactor.attest(participant.attestation(5, 6))


def test_a_foreign_key_is_refused(participant, participate):
    foreign = participate(participant.anvil)
    refused = rejection(foreign.transactor.attest, participant.attestation(1, 4))
    assert refused.reason == "NotNodeKey"
    assert refused.arguments["attester"] == foreign.node_id
    assert participant.chain.next_round(participant.swarm_id, participant.node_id) == 1


def test_who_left_is_refused_and_goes_on_after_coming_back(participant):
    participant.transactor.attest(participant.attestation(1, 2))
    participant.transactor.leave(participant.swarm_id, participant.node_id)
    assert rejection(participant.transactor.attest, participant.attestation(3, 4)).reason == "NotMember"
    participant.transactor.join(participant.swarm_id, participant.node_id)
    participant.transactor.attest(participant.attestation(3, 4))


def test_more_rounds_than_one_attestation_holds(participant):
    with pytest.raises(InvalidRecord, match=f"1 to {MAX_ROUNDS} rounds"):
        participant.attestation(1, MAX_ROUNDS + 1)
    with pytest.raises(InvalidRecord):
        AttestationData.of([])
    whole = participant.attestation(1, MAX_ROUNDS)
    beyond = whole.model_copy(update={"last_round": MAX_ROUNDS + 1})
    assert rejection(participant.transactor.attest, beyond).reason == "InvalidRange"
    participant.transactor.attest(whole)
    assert participant.chain.next_round(participant.swarm_id, participant.node_id) == MAX_ROUNDS + 1


def test_every_round_and_rollout_of_a_batch_is_provable(participant):
    rollouts = [digest(f"rollout {i}".encode()) for i in range(7)]
    records = participant.records(1, 5, rollouts_root=to_hex(merkle.root(rollouts)))
    uid = participant.transactor.attest(AttestationData.of(records)).uid
    digests = [record.digest() for record in records]
    chain = participant.chain
    for position, record in enumerate(records):
        proof = merkle.proof(digests, position)
        assert chain.prove_round(uid, record, proof)
        assert not chain.prove_round(uid, record.model_copy(update={"reward": record.reward + 1}), proof)
        for number, rollout in enumerate(rollouts):
            path = merkle.proof(rollouts, number)
            assert chain.prove_rollout(uid, record, proof, rollout, number, 7, path)
            assert not chain.prove_rollout(uid, record, proof, rollout, number, 8, path)
        assert not chain.prove_rollout(uid, record, proof, digest(b"none"), 0, 7, merkle.proof(rollouts, 0))
        other = record.model_copy(update={"rollouts_root": to_hex(digest(b"other"))})
        assert not chain.prove_rollout(uid, other, proof, rollouts[0], 0, 7, merkle.proof(rollouts, 0))
    assert not chain.prove_round(to_hex(digest(b"none")), records[0], merkle.proof(digests, 0))
