"""Endpoints that lie, lose, delay and reorder: each finished round is on the chain exactly once all the same."""

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from kubeswarm_contracts import rpc
from tests.chain.attestor.harness import Endpoint, Node, Running, result

Request = dict[str, Any]
Lie = Callable[[Request, Endpoint.Forward], dict[str, Any] | None]


class AtFirst:
    """Lies at the first `times` requests for these methods, or for any; tells the truth afterwards."""

    def __init__(self, times: int, lie: Lie, *methods: str) -> None:
        self.told = 0
        self._times, self._lie, self._methods, self._lock = times, lie, methods, threading.Lock()

    def __call__(self, request: Request, forward: Endpoint.Forward) -> dict[str, Any] | None:
        with self._lock:
            lies = self.told < self._times and (not self._methods or request["method"] in self._methods)
            self.told += lies
        return self._lie(request, forward) if lies else forward()


def says(value: Any) -> Lie:
    return lambda request, _: result(request, value)


def changed(change: Callable[[Any], Any]) -> Lie:
    """The truth, with its result changed."""

    def lie(_: Request, forward: Endpoint.Forward) -> dict[str, Any]:
        answer = forward()
        return {**answer, "result": change(answer["result"])} if answer.get("result") else answer

    return lie


def lost(_: Request, forward: Endpoint.Forward) -> None:
    """It does what is asked, and hangs up."""
    forward()


def twice(_: Request, forward: Endpoint.Forward) -> dict[str, Any]:
    answer = forward()
    forward()
    return answer


def late(_: Request, forward: Endpoint.Forward) -> dict[str, Any]:
    answer = forward()
    time.sleep(1.0)
    return answer


def once(values: Iterable[Any]) -> Lie:
    """One result after the other, whatever is asked."""
    rest: Iterator[Any] = itertools.cycle(values)
    return lambda request, _: result(request, next(rest))


def frozen() -> Lie:
    """What was answered the first time, as from a cache that nobody empties."""
    seen: dict[str, dict[str, Any]] = {}

    def lie(request: Request, forward: Endpoint.Forward) -> dict[str, Any]:
        asked = repr(request["params"])
        if asked not in seen:
            seen[asked] = forward()
        return {**seen[asked], "id": request["id"]}

    return lie


def one_behind() -> Lie:
    """Each transaction is passed on when the next one comes, after it."""
    held: list[Endpoint.Forward] = []

    def lie(request: Request, forward: Endpoint.Forward) -> dict[str, Any]:
        answer = forward() if held else result(request, "0x" + "00" * 32)
        for each in held:
            each()
        held[:] = [] if held else [forward]
        return answer

    return lie


def limited(request: Request, _: Endpoint.Forward) -> dict[str, Any]:
    error = {"code": -32005, "message": "daily request count exceeded"}
    return {"jsonrpc": "2.0", "id": request["id"], "error": error}


SEND, RECEIPT, NONCE = "eth_sendRawTransaction", "eth_getTransactionReceipt", "eth_getTransactionCount"
INVENTED = {"status": "0x1", "blockNumber": "0x1", "gasUsed": "0x5208", "logs": []}
NONSENSE = [None, "0x", "", [], {}, 0, "0xzz", "0x" + "ff" * 40, True, [None], {"status": "0x1"}, -1]

LIES: dict[str, Callable[[], AtFirst]] = {
    "receipts of another transaction": lambda: AtFirst(
        8, changed(lambda found: {**found, "transactionHash": "0x" + "ab" * 32}), RECEIPT
    ),
    "receipts of failure": lambda: AtFirst(3, changed(lambda found: {**found, "status": "0x0"}), RECEIPT),
    "receipts without logs": lambda: AtFirst(6, changed(lambda found: {**found, "logs": []}), RECEIPT),
    "receipts that stay away": lambda: AtFirst(25, says(None), RECEIPT),
    "transactions dropped": lambda: AtFirst(3, says("0x" + "00" * 32), SEND),
    "transactions dropped, receipts invented": lambda: AtFirst(
        8,
        lambda request, _: result(request, INVENTED | {"transactionHash": request["params"][0]}),
        SEND,
        RECEIPT,
    ),
    "transactions taken, the answer lost": lambda: AtFirst(3, lost, SEND),
    "transactions passed on twice": lambda: AtFirst(9, twice, SEND),
    "transactions out of order": lambda: AtFirst(6, one_behind(), SEND),
    "stale nonces": lambda: AtFirst(12, says("0x0"), NONCE),
    "nonces of the future": lambda: AtFirst(4, changed(lambda nonce: hex(int(nonce, 16) + 3)), NONCE),
    "views from a cache": lambda: AtFirst(25, frozen(), "eth_call"),
    "no gas is needed": lambda: AtFirst(4, says("0x5208"), "eth_estimateGas"),
    "the account is empty": lambda: AtFirst(6, says("0x0"), "eth_getBalance"),
    "another chain": lambda: AtFirst(3, says("0x5"), "eth_chainId"),
    "nothing but nulls": lambda: AtFirst(30, says(None)),
    "nonsense": lambda: AtFirst(60, once(NONSENSE)),
    "errors": lambda: AtFirst(30, limited),
    "hanging up": lambda: AtFirst(30, lambda *_: None),
    "answers too late": lambda: AtFirst(6, late),
}


@pytest.mark.parametrize("name", LIES)
def test_lies_change_nothing_of_the_outcome(own_chain, attestor, endpoint, running, monkeypatch, name):
    monkeypatch.setattr(rpc, "READ_SECONDS", 0.5)
    node: Node = attestor(own_chain)
    lies = LIES[name]()
    node.configure(url=endpoint(own_chain.url, lies).url)
    attest: Running = running(node)
    for _ in range(3):
        node.train(1)
        time.sleep(0.2)
    node.wait_chain(3)
    report = attest.wait(lambda report: report.attested_rounds == 3 and report.problem is None)
    assert report.registered and report.joined and lies.told > 0
    assert node.on_chain() == [1, 2, 3]
