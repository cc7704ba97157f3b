"""The error tree: everything that KubeSwarm raises on purpose and expects a caller to tell apart."""


class KubeSwarmError(Exception):
    """The root of KubeSwarm's own errors. The message names what is wrong and the remedy."""


class InvalidRecord(KubeSwarmError):
    """A round record breaks its own format or does not follow the one before."""


class InvalidBatch(KubeSwarmError):
    """A rollout batch from another node fails a check. `reason` is one of `rollouts.DROP_REASONS`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class InvalidConfig(KubeSwarmError):
    """A configuration file can't be used: the message names the file, the field and the remedy."""
