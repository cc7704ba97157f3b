"""What can go wrong between us and a chain. Every call of this package raises these and nothing of web3's."""

from typing import Any

from kubeswarm_api.errors import KubeSwarmError


class ChainError(KubeSwarmError):
    """The root of this package's errors."""


class ChainUnreachable(ChainError):
    """No usable answer came from the chain's RPC endpoint: try again later."""


class ChainTimeout(ChainError):
    """A transaction was sent but not included in time. It may still be: look at the chain before sending it again."""


class ChainRejected(ChainError):
    """The chain, or a contract on it, refuses this. Trying the same again won't help before something changes.

    `reason`: one CamelCase word, the contract's custom error or one of ours. `arguments`: what it carries, by name.
    """

    def __init__(self, reason: str, message: str, arguments: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.arguments = arguments or {}


class KeyUnfunded(ChainRejected):
    """The account can't pay for its transaction. `arguments`: address, balance, needed (wei)."""


class FeeAboveCap(ChainRejected):
    """The chain asks for more per gas than we may pay. `arguments`: baseFee, cap (wei)."""


class SignerUnreachable(ChainError):
    """The external signer gave no signature of our key: nothing was sent. The message says why."""


class NonceTaken(ChainRejected):
    """Another transaction of this account came first: look at the chain again, then retry what is missing."""
