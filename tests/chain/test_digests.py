"""The boundary between Python and Solidity: equal bytes, equal digests, equal trees, for any values."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeswarm_api import merkle
from kubeswarm_api.encoding import to_hex
from kubeswarm_contracts import AttestationData, swarm_id
from kubeswarm_contracts.abi import interface
from kubeswarm_contracts.plan import SCHEMA

digests = st.binary(min_size=32, max_size=32)
fields = st.fixed_dictionaries(
    {
        "config": digests.map(to_hex),
        "model_before": digests.map(to_hex),
        "model_after": digests.map(to_hex),
        "samples": st.integers(0, 2**32),
        "reward": st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-1, -(2**63), 2**63 - 1]),
        "tokens": st.integers(0, 2**32),
    }
)
each_example_attests = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@each_example_attests
@given(batches=st.lists(st.tuples(fields, st.lists(digests, min_size=1, max_size=9)), min_size=1, max_size=9))
def test_what_python_digests_solidity_proves(participant, batches):
    chain = participant.chain
    first = chain.next_round(participant.swarm_id, participant.node_id)
    records = []
    for number, (values, rollouts) in enumerate(batches):
        previous = to_hex(records[-1].digest()) if records else chain.head(participant.swarm_id, participant.node_id)
        root = to_hex(merkle.root(rollouts))
        records += participant.records(first + number, first + number, previous, rollouts_root=root, **values)
    data = AttestationData.of(records)
    uid = participant.transactor.attest(data).uid
    assert chain.attestation(uid) == data
    leaves = [record.digest() for record in records]
    for position, record in enumerate(records):
        rollouts, proof = batches[position][1], merkle.proof(leaves, position)
        chosen = position % len(rollouts)
        assert chain.prove_round(uid, record, proof)
        path = merkle.proof(rollouts, chosen)
        assert merkle.verify(rollouts[chosen], chosen, len(rollouts), path, merkle.root(rollouts))
        assert chain.prove_rollout(uid, record, proof, rollouts[chosen], chosen, len(rollouts), path)
        if len(records) > 1 and leaves[position - 1] != leaves[position]:
            assert not chain.prove_round(uid, records[position - 1], proof)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(owner=st.binary(min_size=20, max_size=20).map(to_hex), salt=digests)
def test_swarm_ids(anvil, owner, salt):
    swarms = interface("SwarmRegistry")
    call = {"to": anvil.chain.deployment.swarm_registry, "data": to_hex(swarms.call("swarmIdOf", owner, salt))}
    assert anvil.rpc("eth_call", call, "latest") == swarm_id(owner, salt)


def test_schema_uid_and_domain(anvil):
    resolver, deployment = interface("RoundResolver"), anvil.chain.deployment
    ask = {"to": deployment.resolver, "data": to_hex(resolver.call("SCHEMA_UID"))}
    assert anvil.rpc("eth_call", ask, "latest") == deployment.schema_uid
    ask = {"to": deployment.resolver, "data": to_hex(resolver.call("SCHEMA"))}
    assert resolver.result("SCHEMA", bytes.fromhex(anvil.rpc("eth_call", ask, "latest")[2:]))[0] == SCHEMA
