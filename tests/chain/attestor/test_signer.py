"""Keys that another service holds: the attestor works with signatures alone, and says what keeps it from one."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from eth_account import Account as EthAccount
from eth_account.messages import encode_defunct
from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_api import names
from kubeswarm_api.encoding import digest
from kubeswarm_api.errors import InvalidConfig
from kubeswarm_contracts import Account, SignerUnreachable, domain, new_key, recover_batch_signer
from tests.chain.attestor.harness import problem
from tests.chain.attestor.signing_service import SigningService, high, plain

KEY, ADDRESS = new_key()
MESSAGE = encode_defunct(b"something else")


@pytest.fixture
def service() -> Iterator[Callable[..., SigningService]]:
    made: list[SigningService] = []

    def make(key: str = KEY, **options: Any) -> SigningService:
        made.append(SigningService(key, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_node_whose_key_is_elsewhere_registers_attests_and_signs(anvil, attestor, service):
    node = attestor(anvil)
    signer = service(node.key)
    node.path(names.IDENTITY_KEY_FILE).unlink()
    url = f"http://user:opensesame@127.0.0.1:{signer.port}/"
    node.write(names.IDENTITY_SIGNER_FILE, url + "\n")
    node.write(names.IDENTITY_ADDRESS_FILE, node.node_id + "\n")
    node.train(2)
    node.start()
    node.wait_attested(2)
    signature = node.notary().sign(1, digest(b"root"))
    where = domain(anvil.chain.deployment)
    assert recover_batch_signer(where, node.swarm_id, node.node_id, 1, digest(b"root"), signature) == node.node_id
    assert signer.credentials == {"Basic dXNlcjpvcGVuc2VzYW1l"}
    assert node.stop() == 0
    for path in node.root.rglob("*"):
        if path.is_file():
            assert node.key[2:] not in path.read_text(errors="replace")
            assert path.name == "signer-url" or "opensesame" not in path.read_text(errors="replace")


def test_a_signer_that_is_away_is_said_and_rounds_wait(anvil, attestor, running, service):
    node = attestor(anvil)
    signer = service(node.key)
    attest = running(node, account=Account.remote(signer.url, node.node_id))
    node.train(1)
    node.wait_chain(1)
    signer.text = "internal error"
    node.train(2)
    report = attest.wait(lambda report: problem("SignerUnreachable")(report) and report.spooled_rounds == 3)
    assert f"127.0.0.1:{signer.port}" in report.problem.message
    assert node.on_chain() == [1]
    signer.text = None
    node.wait_chain(3)
    attest.wait(lambda report: report.problem is None)


@pytest.mark.parametrize("form", [plain, high])
def test_signatures_of_either_form_are_taken_by_the_chain(anvil, service, form):
    key, address = new_key()
    anvil.rpc("anvil_setBalance", address, hex(10**18))
    account = Account.remote(service(key, form=form).url, address)
    for _ in range(3):
        anvil.transactor(account).transfer(ADDRESS, 1)
    anvil.transactor(account).register()
    assert anvil.chain.key_of(address) == address


@pytest.mark.parametrize("text", ["", "0x", "<html>", "0x" + "00" * 65, "0x" + "ff" * 65, "null", "0x" + "11" * 64])
def test_what_is_no_signature_of_the_key_is_refused(service, text):
    signer = service(text=text)
    with pytest.raises(SignerUnreachable, match=r"127\.0\.0\.1"):
        Account.remote(signer.url, ADDRESS).sign_transaction(TRANSACTION)


def test_a_signature_of_another_key_or_over_something_else_is_refused(service):
    signer = service()
    with pytest.raises(SignerUnreachable, match="has no key of"):
        Account.remote(signer.url, new_key()[1]).sign_transaction(TRANSACTION)
    account = Account.remote(signer.url, ADDRESS)
    raw, _ = account.sign_transaction(TRANSACTION)
    assert EthAccount.recover_transaction(raw).lower() == ADDRESS
    other, _ = new_key()
    signer.form = lambda _: bytes(EthAccount.sign_message(MESSAGE, other).signature)
    with pytest.raises(SignerUnreachable, match="signed with the key of"):
        account.sign_transaction(TRANSACTION)


def test_a_signer_that_is_not_there_is_told_without_its_password():
    account = Account.remote("http://user:opensesame@127.0.0.1:9", ADDRESS)
    with pytest.raises(SignerUnreachable, match="check that it runs") as caught:
        account.sign_transaction(TRANSACTION)
    assert "opensesame" not in str(caught.value) and "opensesame" not in repr(account)
    for url, address in (("ftp://x", ADDRESS), ("http://", ADDRESS), ("http://127.0.0.1", "0x12")):
        with pytest.raises(InvalidConfig):
            Account.remote(url, address)


TRANSACTION = {
    "chainId": 31337,
    "nonce": 0,
    "maxPriorityFeePerGas": 1,
    "maxFeePerGas": 2,
    "gas": 21000,
    "to": "0x" + "11" * 20,
    "value": 3,
    "data": "0x",
}
number = st.integers(0, 2**64 - 1)


@given(
    key=st.integers(1, 2**255).map(lambda number: f"0x{number:064x}"),
    chain=st.integers(1, 2**53),
    numbers=st.tuples(number, number, number, number),
    value=st.integers(0, 2**128),
    to=st.binary(min_size=20, max_size=20),
    data=st.binary(max_size=300),
)
def test_transactions_are_those_that_eth_account_makes(key, chain, numbers, value, to, data):
    fields = dict(zip(("nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas"), numbers, strict=True))
    transaction = {**fields, "chainId": chain, "to": "0x" + to.hex(), "value": value, "data": "0x" + data.hex()}
    theirs = EthAccount.sign_transaction({**transaction, "to": to, "type": 2}, key)
    raw, tx_hash = Account(key).sign_transaction(transaction)
    assert raw == "0x" + bytes(theirs.raw_transaction).hex()
    assert tx_hash == "0x" + bytes(theirs.hash).hex()
