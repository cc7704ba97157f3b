"""What the trainer may have from the attestor: signatures over its own batches, and nothing else."""

import time
import urllib.error

import httpx
import pytest
import rlp
from eth_account import Account as EthAccount
from eth_utils.crypto import keccak

from kubeswarm_api import names
from kubeswarm_api.encoding import digest, from_hex, to_hex
from kubeswarm_api.errors import InvalidBatch
from kubeswarm_api.rollouts import Completion, Group, RolloutBatch, SignedBatch
from kubeswarm_contracts import Account, ChainRejected, KeyProof, domain, new_key, recover_batch_signer
from kubeswarm_contracts.deploy import DEVELOPMENT_KEY, deploy
from kubeswarm_contracts.signing import registration_message
from kubeswarm_workers.attest.notary import SocketNotary
from tests.chain.attestor.harness import ETHER, Node, metric


def batch_of(node: Node, notary: SocketNotary, number: int = 1) -> SignedBatch:
    completion = Completion(tokens=[1, 2], logprobs=[-0.5, -0.25], reward=0.5, truncated=False)
    group = Group(task="needle", item=1, prompt_tokens=[1], completions=[completion])
    batch = RolloutBatch(
        swarm_id=node.swarm_id, node_id=notary.node_id, round=number, model="0x" + "cd" * 32, groups=[group]
    )
    return SignedBatch(batch=batch, signature=notary.sign(number, batch.root()))


def test_the_socket_signs_for_its_own_node_and_verifies_others(anvil, attestor):
    node = attestor(anvil)
    node.start()
    notary = node.notary()
    assert notary.node_id == node.node_id
    assert node.path(names.ATTESTOR_SOCKET).stat().st_mode & 0o777 == 0o660
    signed = batch_of(node, notary)
    where = domain(anvil.chain.deployment)
    root = signed.batch.root()
    assert recover_batch_signer(where, node.swarm_id, node.node_id, 1, root, signed.signature) == node.node_id
    node.wait(lambda report: report.joined)
    time.sleep(3.5)  # what was known of a stranger is forgotten
    notary.verify(signed)
    for change in ({"round": 2}, {"model": "0x" + "ee" * 32}, {"groups": []}):
        forged = signed.model_copy(update={"batch": signed.batch.model_copy(update=change)})
        with pytest.raises(InvalidBatch, match="signature"):
            notary.verify(forged)
    stranger = Account(new_key()[0])
    batch = signed.batch.model_copy(update={"node_id": stranger.address})
    signature = stranger.sign_batch(where, node.swarm_id, stranger.address, 1, batch.root())
    with pytest.raises(InvalidBatch, match="membership"):
        notary.verify(SignedBatch(batch=batch, signature=signature))
    assert metric(node.get("/metrics"), "kubeswarm_attestor_signatures_total") == 1


def test_the_socket_does_not_know_without_a_chain_and_still_signs(start_anvil, attestor):
    anvil = start_anvil()
    list(deploy(anvil.chain, Account(DEVELOPMENT_KEY)))
    node = attestor(anvil)
    anvil.stop()
    node.start()
    notary = node.notary()
    signed = batch_of(node, notary)
    with pytest.raises(OSError, match="503"):
        notary.verify(signed)


HOSTILE = [
    b"",
    b"[]",
    b"{",
    b'{"round": 1}',
    b'{"round": 0, "digest": "0x%s"}' % (b"ab" * 32),
    b'{"round": "1", "digest": "0x%s"}' % (b"ab" * 32),
    b'{"round": 1, "digest": "0x%s"}' % (b"ab" * 31),
    b'{"round": 1, "digest": "0x%s"}' % (b"AB" * 32),
    b'{"round": 9223372036854775808, "digest": "0x%s"}' % (b"ab" * 32),
    b'{"round": 1, "digest": "0x%s", "nodeId": "0x%s"}' % (b"ab" * 32, b"11" * 20),
    b'{"round": 1, "digest": "0x%s", "swarmId": "0x%s"}' % (b"ab" * 32, b"11" * 32),
    b'{"transaction": {"to": "0x%s", "value": 1}}' % (b"11" * 20),
    b"[" * 2000,
]


def test_nothing_else_can_be_had_from_the_socket(anvil, attestor):
    node = attestor(anvil)
    node.start()
    node.notary()
    transport = httpx.HTTPTransport(uds=str(node.path(names.ATTESTOR_SOCKET)))
    with httpx.Client(transport=transport, base_url="http://attestor") as client:
        for body in HOSTILE:
            answer = client.post("/v1/sign", content=body)
            assert answer.status_code == 400, (body, answer.text)
            assert "signature" not in answer.text
        assert client.post("/v1/sign", content=bytes(100_000)).status_code == 413
        for path in ("/v1/key", "/v1/transaction", "/", "/status", "/v1/../etc/kubeswarm/identity/key"):
            assert client.get(path).status_code == 404
        assert client.get("/v1/sign").status_code == 405
        good = client.post("/v1/sign", content=b'{"round": 1, "digest": "0x%s"}' % (b"ab" * 32)).json()
        assert set(good) == {"signature"} and len(from_hex(good["signature"], 65)) == 65
    for path in ("/v1/sign", "/v1/state"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            node.get(path)
    assert metric(node.get("/metrics"), "kubeswarm_attestor_signatures_total") == 1


def test_a_hostile_trainer_can_have_neither_a_transaction_nor_a_consent_signed(anvil, attestor):
    """It asks for signatures over the digests of what it would like to have, and puts them where they would belong."""
    node = attestor(anvil)
    node.start()
    notary = node.notary()
    thief = Account(new_key()[0])
    fields = [31337, 0, 10**9, 10**10, 21000, from_hex(thief.address, 20), ETHER, b"", []]
    signature = notary.sign(1, keccak(_type_two(fields)))
    r, s, v = (int.from_bytes(part) for part in (signature[:32], signature[32:64], signature[64:]))
    raw = _type_two([*fields, v - 27, r, s])
    assert EthAccount.recover_transaction(raw).lower() != node.node_id
    deadline = anvil.chain.clock() + 600
    message = registration_message(domain(anvil.chain.deployment), node.node_id, thief.address, 0, deadline)
    consent = notary.sign(1, keccak(b"\x19" + message.version + message.header + message.body))
    proof = KeyProof(key=node.node_id, owner=thief.address, nonce=0, deadline=deadline, signature=consent)
    with pytest.raises(ChainRejected, match="InvalidKeyProof"):
        anvil.transactor().register_key(proof)
    root, where = digest(b"root"), domain(anvil.chain.deployment)
    batch = notary.sign(1, root)
    assert recover_batch_signer(where, node.swarm_id, node.node_id, 1, root, batch) == node.node_id
    for swarm_id, node_id, number in (
        (to_hex(digest(b"another swarm")), node.node_id, 1),
        (node.swarm_id, thief.address, 1),
        (node.swarm_id, node.node_id, 2),
    ):
        assert recover_batch_signer(where, swarm_id, node_id, number, root, batch) != node.node_id


def _type_two(fields: list[object]) -> bytes:
    """An EIP-1559 transaction as it is signed, or sent."""
    encoded = rlp.encode(fields)
    assert isinstance(encoded, bytes)
    return b"\x02" + encoded
