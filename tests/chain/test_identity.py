"""Keys prove themselves: at registration, at rotation, and in what they sign off chain."""

import pytest

from kubeswarm_api.encoding import digest, to_hex
from kubeswarm_api.errors import InvalidConfig
from kubeswarm_contracts import (
    Account,
    ChainRejected,
    KeyProof,
    KeyUnfunded,
    domain,
    new_key,
    node_id,
    recover_batch_signer,
)

SWARM = to_hex(digest(b"swarm"))


def consent(anvil, key: Account, owner: str, **changes) -> KeyProof:
    fields = {"nonce": anvil.chain.key_nonce(key.address), "deadline": anvil.chain.clock() + 60} | changes
    return key.sign_registration(domain(anvil.chain.deployment), owner, **fields)


def rejection(call, *arguments) -> ChainRejected:
    with pytest.raises(ChainRejected) as caught:
        call(*arguments)
    return caught.value


def test_a_key_registers_itself_once(anvil):
    transactor = anvil.transactor()
    key = transactor.account.address
    assert anvil.chain.key_of(node_id(key)) is None
    result = transactor.register(uri="ipfs://node")
    assert result.block <= anvil.chain.block()
    assert anvil.chain.key_of(node_id(key)) == key
    assert anvil.chain.node_of(key) == node_id(key)
    assert transactor.register() is None


def test_another_account_pays_for_a_key_that_consents(anvil):
    payer, key = anvil.transactor(), Account(new_key()[0])
    payer.register_key(consent(anvil, key, owner=payer.account.address))
    assert anvil.chain.key_of(key.address) == key.address


def test_a_forged_proof_is_refused(anvil):
    payer, key, forger = anvil.transactor(), Account(new_key()[0]), Account(new_key()[0])
    forged = consent(anvil, forger, payer.account.address).model_copy(update={"key": key.address})
    refused = rejection(payer.register_key, forged)
    assert (refused.reason, refused.arguments) == ("InvalidKeyProof", {"key": key.address, "nonce": 0})
    assert "sign it anew" in str(refused)
    assert anvil.chain.key_of(key.address) is None


def test_a_proof_for_another_owner_is_refused(anvil):
    payer, key = anvil.transactor(), Account(new_key()[0])
    stolen = consent(anvil, key, owner=key.address).model_copy(update={"owner": payer.account.address})
    assert rejection(payer.register_key, stolen).reason == "InvalidKeyProof"


def test_an_expired_proof_is_refused(anvil):
    payer, key = anvil.transactor(), Account(new_key()[0])
    late = consent(anvil, key, payer.account.address, deadline=anvil.chain.clock() - 1)
    assert rejection(payer.register_key, late).reason == "KeyProofExpired"


def test_a_replayed_proof_is_refused(anvil):
    payer, key = anvil.transactor(), Account(new_key()[0])
    proof = consent(anvil, key, payer.account.address)
    payer.register_key(proof)
    assert rejection(payer.register_key, proof).reason == "InvalidKeyProof"
    again = rejection(payer.register_key, consent(anvil, key, payer.account.address))
    assert (again.reason, again.arguments["nodeId"]) == ("KeyAlreadyUsed", key.address)


def test_a_rotated_key_takes_over_and_the_old_one_can_not_attest(participant):
    anvil, successor = participant.anvil, participant.anvil.account()
    where = domain(anvil.chain.deployment)
    proof = successor.sign_rotation(where, participant.node_id, participant.node_id, 0, anvil.chain.clock() + 60)
    participant.transactor.rotate_key(participant.node_id, proof)
    assert anvil.chain.key_of(participant.node_id) == successor.address
    assert anvil.chain.members(participant.swarm_id)[0].key == successor.address
    refused = rejection(participant.transactor.attest, participant.attestation(1, 1))
    assert (refused.reason, refused.arguments["key"]) == ("NotNodeKey", successor.address)
    anvil.transactor(successor).attest(participant.attestation(1, 1))
    assert rejection(anvil.transactor(successor).register).reason == "KeyAlreadyUsed"


def test_a_key_without_ether_is_told_what_it_needs(anvil):
    poor = anvil.transactor(Account(new_key()[0]))
    with pytest.raises(KeyUnfunded, match="send it at least") as caught:
        poor.register()
    assert caught.value.arguments["balance"] == 0
    assert caught.value.arguments["needed"] > 0


def test_transfer(anvil):
    receiver = new_key()[1]
    anvil.transactor().transfer(receiver, 12345)
    assert anvil.chain.balance(receiver) == 12345


def test_batches_are_signed_for_one_swarm_node_and_round(anvil):
    key, where = Account(new_key()[0]), domain(anvil.chain.deployment)
    signature = key.sign_batch(where, SWARM, key.address, 3, digest(b"batch"))
    assert recover_batch_signer(where, SWARM, key.address, 3, digest(b"batch"), signature) == key.address
    for other in [
        (where.model_copy(update={"chain_id": 1}), SWARM, key.address, 3, digest(b"batch")),
        (where, to_hex(digest(b"other")), key.address, 3, digest(b"batch")),
        (where, SWARM, key.address, 4, digest(b"batch")),
        (where, SWARM, key.address, 3, digest(b"other")),
    ]:
        assert recover_batch_signer(*other, signature) != key.address
    for rubbish in [b"", bytes(65), bytes(64), b"\xff" * 65, signature + b"\0"]:
        assert recover_batch_signer(where, SWARM, key.address, 3, digest(b"batch"), rubbish) is None


def test_a_key_never_shows(tmp_path):
    secret, address = new_key()
    assert repr(Account(secret)) == f"Account({address})"
    broken = tmp_path / "key"
    broken.write_text(secret[:-1])
    with pytest.raises(InvalidConfig) as caught:
        Account.from_file(broken)
    assert secret[2:-1] not in str(caught.value)
    with pytest.raises(InvalidConfig, match="can't be read"):
        Account.from_file(tmp_path / "none")
