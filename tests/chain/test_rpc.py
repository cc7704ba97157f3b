"""The client of the endpoint, against servers that are no chain at first, or whose chain runs ahead of them."""

import pytest

from kubeswarm_contracts import ChainUnreachable
from kubeswarm_contracts.rpc import Rpc, RpcError
from tests.chain.endpoints import Endpoint, serving

ANSWER = b'{"jsonrpc": "2.0", "id": 0, "result": "0x7a69"}'
#: anvil's, where a block comes between its choice of the latest one and its look at that one's state.
OVERTAKEN = (
    b'{"jsonrpc": "2.0", "id": 0, "error": {"code": -32602, '
    b'"message": "BlockOutOfRangeError: block height is 1123 but requested was 1122"}}'
)


class FirstConnectionIsNoChain(Endpoint):
    """As where a Service without endpoints led elsewhere: that connection answers 404 for as long as it is kept."""

    def answer(self) -> tuple[int, bytes]:
        return (404, b"") if self.is_first else (200, ANSWER)


class OvertakenTwice(Endpoint):
    def answer(self) -> tuple[int, bytes]:
        return 200, OVERTAKEN if len(self.asked) <= 2 else ANSWER


class OvertakenInABatch(Endpoint):
    def answer(self) -> tuple[int, bytes]:
        second = OVERTAKEN if len(self.asked) == 1 else ANSWER
        return 200, b"[" + ANSWER + b"," + second.replace(b'"id": 0', b'"id": 1') + b"]"


class AlwaysOvertaken(Endpoint):
    def answer(self) -> tuple[int, bytes]:
        return 200, OVERTAKEN


def test_a_connection_that_leads_elsewhere_is_not_kept() -> None:
    with serving(FirstConnectionIsNoChain) as url:
        rpc = Rpc(url)
        with pytest.raises(ChainUnreachable, match="HTTP status 404"):
            rpc.quantity("eth_chainId")
        assert rpc.quantity("eth_chainId") == 31337


def test_an_endpoint_that_its_chain_has_overtaken_is_asked_again() -> None:
    with serving(OvertakenTwice) as url:
        rpc = Rpc(url)
        assert rpc.quantity("eth_getBalance", "0x00", "latest") == 31337


def test_a_batch_of_which_one_request_was_overtaken_is_asked_again() -> None:
    with serving(OvertakenInABatch) as url:
        rpc = Rpc(url)
        calls = [("eth_getBalance", [address, "latest"]) for address in ("0x00", "0x01")]
        assert rpc.batch(calls) == ["0x7a69", "0x7a69"]


def test_one_that_is_overtaken_each_time_is_told_of() -> None:
    with serving(AlwaysOvertaken) as url, pytest.raises(RpcError, match="BlockOutOfRange"):
        Rpc(url).quantity("eth_getBalance", "0x00", "latest")
