"""Getting one transaction of one account into a block, whatever became of the one before.

An account has at most one transaction in flight: each takes the account's first free nonce on chain. What an earlier
process left pending at that nonce is thereby replaced, never joined by a second one. So nothing is paid or attested
twice, and nothing has to be remembered across a crash: what is still missing can be read from the chain.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kubeswarm_api.encoding import to_hex
from kubeswarm_api.records import Address, Digest
from kubeswarm_contracts.account import Account
from kubeswarm_contracts.chain import Chain
from kubeswarm_contracts.errors import ChainRejected, ChainTimeout, FeeAboveCap, KeyUnfunded, NonceTaken
from kubeswarm_contracts.fees import GWEI, FeeCaps, Fees, offer, raised
from kubeswarm_contracts.rpc import RpcError

#: Added to the estimate, in percent: storage that another transaction changes in between may make ours dearer.
GAS_MARGIN = 25
#: Where the endpoint suggests none, in wei per gas.
DEFAULT_TIP = GWEI // 10
_POLL_SECONDS = 0.25
#: An endpoint may count a transaction a moment before it has its receipt, longer where several nodes answer in turn.
_RECEIPT_LAG_SECONDS = 2.0

#: Told the name of each step when it is done. Whatever is told may be the last thing that happens: a test kills there.
Reached = Callable[[str], None]
#: The steps of sending, in their order; `outbid` and `raised` come where an offer must be.
SENDING_POINTS = ("estimated", "priced", "signed", "outbid", "sent", "raised", "included")


def nothing(_: str) -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds: for a receipt in all, and for one offer before it is raised."""

    deadline: float = 60.0
    raise_after: float = 15.0


@dataclass(frozen=True)
class Receipt:
    """A transaction in a block, with its logs as JSON-RPC gives them."""

    tx_hash: Digest
    block: int
    gas_used: int
    logs: tuple[dict[str, Any], ...]
    failed: bool


def _parse_receipt(tx_hash: Digest) -> Callable[[Any], Receipt | None]:
    """Takes an endpoint's receipt of this transaction, or None; raises ValueError for that of another one."""

    def parse(found: Any) -> Receipt | None:
        if found is None:
            return None
        if found["transactionHash"].lower() != tx_hash:
            raise ValueError("the receipt of another transaction")
        return Receipt(
            tx_hash=tx_hash,
            block=int(found["blockNumber"], 16),
            gas_used=int(found["gasUsed"], 16),
            logs=tuple(found["logs"]),
            failed=int(found["status"], 16) == 0,
        )

    return parse


class Sender:
    """Sends the transactions of one account, one after the other. Threads may share it."""

    def __init__(
        self, chain: Chain, account: Account, caps: FeeCaps, patience: Patience, reached: Reached = nothing
    ) -> None:
        self._chain, self._account, self._caps, self._patience = chain, account, caps, patience
        self._reached = reached
        self._lock = threading.Lock()

    def send(self, to: Address, data: bytes = b"", value: int = 0) -> Receipt:
        """Sends one transaction and waits until a block holds it.

        Raises ChainRejected, before sending, for what would revert; KeyUnfunded if the account can't pay; NonceTaken if
        another transaction of the account came first; FeeAboveCap; ChainTimeout after the deadline; SignerUnreachable;
        ChainUnreachable.
        """
        with self._lock:
            return self._send({"to": to, "data": to_hex(data), "value": value})

    def _send(self, body: dict[str, Any]) -> Receipt:
        end = time.monotonic() + self._patience.deadline
        body |= {"gas": self._estimate(body), "nonce": self._nonce()}
        self._reached("estimated")
        fees = self._first_offer()
        self._check_funds(body["gas"] * fees.total + body["value"])
        self._reached("priced")
        hashes: list[Digest] = []
        while True:
            fees, tx_hash = self._submit(body, fees, replacing=bool(hashes))
            hashes.append(tx_hash)
            receipt = self._await(hashes, body["nonce"], min(end, time.monotonic() + self._patience.raise_after))
            if receipt is not None:
                self._reached("included")
                return receipt
            if time.monotonic() >= end:
                raise ChainTimeout(
                    f"no block took transaction {tx_hash} (nonce {body['nonce']}) of {self._account.address} within "
                    f"{self._patience.deadline:g} s: it may still come"
                )
            fees = raised(fees, offer(*self._market(), self._caps) or fees, self._caps) or fees
            self._reached("raised")

    def _estimate(self, body: dict[str, Any]) -> int:
        call = {"from": self._account.address, "to": body["to"], "data": body["data"], "value": hex(body["value"])}
        try:
            estimate = self._chain.rpc.quantity("eth_estimateGas", call, "latest")
        except RpcError as error:
            if "insufficient funds" in str(error).lower():
                self._check_funds(body["value"] + 1)
            raise
        return estimate + estimate * GAS_MARGIN // 100

    def _nonce(self) -> int:
        return self._chain.rpc.quantity("eth_getTransactionCount", self._account.address, "latest")

    def _market(self) -> tuple[int, int]:
        """The latest block's base fee, and the tip that the endpoint suggests."""
        rpc = self._chain.rpc
        base_fee = rpc.parsed(
            lambda block: int(block.get("baseFeePerGas", "0x0"), 16), "eth_getBlockByNumber", "latest", False
        )
        try:
            return base_fee, rpc.quantity("eth_maxPriorityFeePerGas")
        except RpcError:
            return base_fee, DEFAULT_TIP

    def _first_offer(self) -> Fees:
        base_fee, tip = self._market()
        fees = offer(base_fee, tip, self._caps)
        if fees is None:
            raise FeeAboveCap(
                "FeeAboveCap",
                f"the base fee is {base_fee / GWEI:g} gwei, the cap {self._caps.total / GWEI:g}: wait or raise it "
                "(chain.gas.maxFeeGwei)",
                {"baseFee": base_fee, "cap": self._caps.total},
            )
        return fees

    def _check_funds(self, needed: int) -> None:
        balance = self._chain.balance(self._account.address)
        if balance < needed:
            raise self._unfunded(balance, needed)

    def _unfunded(self, balance: int, needed: int) -> KeyUnfunded:
        address = self._account.address
        return KeyUnfunded(
            "KeyUnfunded",
            f"{address} has {balance} wei and needs up to {needed}: send it at least {max(needed - balance, 0)}",
            {"address": address, "balance": balance, "needed": needed},
        )

    def _submit(self, body: dict[str, Any], fees: Fees, *, replacing: bool) -> tuple[Fees, Digest]:
        """Sends, outbidding what an earlier process left pending with this nonce; returns the offer made and the hash.

        `replacing`: an offer of ours with this nonce is out already, so that a nonce too low means that it was taken.
        """
        while True:
            price = {"maxFeePerGas": fees.total, "maxPriorityFeePerGas": fees.tip}
            fixed = {"chainId": self._chain.deployment.chain_id, "type": 2}
            raw, tx_hash = self._account.sign_transaction(body | price | fixed)
            self._reached("signed")
            try:
                self._chain.rpc.request("eth_sendRawTransaction", raw)
                self._reached("sent")
                return fees, tx_hash
            except RpcError as error:
                said = str(error).lower()
                if "already known" in said or "already imported" in said or (replacing and "nonce too low" in said):
                    return fees, tx_hash
                if "nonce too low" in said:
                    raise self._taken(body["nonce"]) from error
                if "insufficient funds" in said:
                    balance = self._chain.balance(self._account.address)
                    raise self._unfunded(balance, body["gas"] * fees.total + body["value"]) from error
                if "underpriced" not in said:
                    raise
                fees = self._outbid(fees, body["nonce"])
                self._reached("outbid")

    def _outbid(self, fees: Fees, nonce: int) -> Fees:
        higher = raised(fees, fees, self._caps)
        if higher is None:
            raise ChainTimeout(
                f"a pending transaction of {self._account.address} with nonce {nonce} offers too much to be outbid "
                f"under our cap of {self._caps.total / GWEI:g} gwei: wait for it"
            )
        return higher

    def _await(self, hashes: list[Digest], nonce: int, until: float) -> Receipt | None:
        taken_since: float | None = None
        while True:
            if taken_since is None and self._nonce() > nonce:
                taken_since = time.monotonic()
            for tx_hash in reversed(hashes):
                found = self._chain.rpc.parsed(_parse_receipt(tx_hash), "eth_getTransactionReceipt", tx_hash)
                if found is not None:
                    if found.failed:
                        self._explain(found)
                    return found
            now = time.monotonic()
            if taken_since is not None and now >= taken_since + _RECEIPT_LAG_SECONDS:
                raise self._taken(nonce)
            if taken_since is None and now >= until:
                return None
            time.sleep(_POLL_SECONDS)

    def _explain(self, found: Receipt) -> None:
        """Raises ChainRejected with the reason why a transaction failed, found by calling it again at its block."""
        tx_hash = found.tx_hash
        call = self._chain.rpc.parsed(
            lambda sent: {name: sent[name] for name in ("from", "to", "value", "gas")} | {"data": sent["input"]},
            "eth_getTransactionByHash",
            tx_hash,
        )
        with suppress(RpcError):  # endpoints that keep no old states answer only at the latest block
            self._chain.rpc.request("eth_call", call, hex(found.block))
        raise ChainRejected("Reverted", f"transaction {tx_hash} failed in its block, for its gas or its order there")

    def _taken(self, nonce: int) -> NonceTaken:
        address = self._account.address
        return NonceTaken(
            "NonceTaken", f"another transaction of {address} took nonce {nonce}: look at the chain again, then retry"
        )
